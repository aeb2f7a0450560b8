-- Users' states, workflow rules, disabled workflows, the logs of tasks, and what they measured.

-- The offset of the event that started an execution: one event starts a workflow at most once.
-- No reference: an event that is deleted with its own workflow still must not start this one again.
ALTER TABLE execution ADD COLUMN cause INTEGER;

-- The event is first, because it is what admission has: all workflows that it started are together.
CREATE UNIQUE INDEX execution_cause ON execution (cause, namespace, workflow)
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
