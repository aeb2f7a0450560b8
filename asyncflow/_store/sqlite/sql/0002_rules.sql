-- Users' states, workflow rules, disabled workflows, the logs of tasks, and what they measured.

-- The offset of the event that started an execution: one event starts a workflow at most once.
-- It is no reference: the event may be deleted with the execution to which it was confined.
ALTER TABLE execution ADD COLUMN cause INTEGER;

CREATE UNIQUE INDEX execution_cause ON execution (cause, namespace, workflow)
WHERE cause IS NOT NULL;

-- The last event by letter that an execution answered: a letter may be delivered twice.
ALTER TABLE execution ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;

-- Made anew for AUTOINCREMENT: since workflows can be deleted, ids could come back.
CREATE TABLE new_task_execution (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    execution INTEGER NOT NULL REFERENCES execution (id),
    task TEXT NOT NULL,
    seq INTEGER NOT NULL,
    try_number INTEGER NOT NULL,
    status TEXT NOT NULL,
    execution_type TEXT NOT NULL,
    failures INTEGER NOT NULL,
    again TEXT,
    "begin" INTEGER,
    "end" INTEGER,
    due INTEGER,
    outcome TEXT,
    abandoned INTEGER NOT NULL DEFAULT 0,
    result TEXT,
    error TEXT,
    traceback TEXT,
    metrics TEXT,
    period INTEGER NOT NULL DEFAULT 0,
    UNIQUE (execution, task, seq)
);

INSERT INTO new_task_execution SELECT *, NULL, 0 FROM task_execution ORDER BY id;

DROP TABLE task_execution;

ALTER TABLE new_task_execution RENAME TO task_execution;

CREATE TABLE cell (
    execution INTEGER NOT NULL REFERENCES execution (id),
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (execution, name)
) WITHOUT ROWID;

CREATE TABLE workflow_cell (
    namespace TEXT NOT NULL,
    workflow TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (namespace, workflow, name)
) WITHOUT ROWID;

CREATE TABLE disabled_workflow (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (namespace, name)
) WITHOUT ROWID;

CREATE TABLE workflow_rule (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    workflow TEXT NOT NULL,
    name TEXT NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    UNIQUE (namespace, workflow, name)
);

CREATE TABLE task_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    execution INTEGER NOT NULL REFERENCES execution (id),
    task TEXT NOT NULL,
    seq INTEGER NOT NULL,
    try_number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level INTEGER NOT NULL,
    text TEXT NOT NULL
);

CREATE INDEX task_log_run ON task_log (execution, task, seq);
