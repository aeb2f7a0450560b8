-- Users' states, workflow rules, disabled workflows, the logs of tasks, and what they measured.

-- The event that started an execution: one event starts a workflow at most once.
ALTER TABLE execution ADD COLUMN cause INTEGER REFERENCES event ("offset");

CREATE UNIQUE INDEX execution_cause ON execution (namespace, workflow, cause)
WHERE cause IS NOT NULL;

ALTER TABLE task_execution ADD COLUMN metrics TEXT;

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
