-- Triggers, schedules, what became of their polls and ticks, and what must not run twice.

-- What no other unfinished execution of the workflow may have.
ALTER TABLE execution ADD COLUMN alone TEXT;

CREATE UNIQUE INDEX execution_alone ON execution (alone, namespace, workflow)
WHERE alone IS NOT NULL AND status IN ('INIT', 'RUNNING');

-- What no other execution of the workflow may ever have: it outlives the execution.
CREATE TABLE started_once (
    namespace TEXT NOT NULL,
    workflow TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (namespace, workflow, key)
) WITHOUT ROWID;

-- Without AUTOINCREMENT: none is deleted, and one that is there already costs no write.
CREATE TABLE trigger_schedule (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    workflow TEXT NOT NULL,
    poll_interval INTEGER NOT NULL, -- microseconds
    allow_concurrent INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    cursor TEXT,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    UNIQUE (namespace, name)
);

CREATE INDEX trigger_disabled ON trigger_schedule (namespace, name) WHERE enabled = 0;

-- A line is of an execution, or of a poll that failed; "ended" is of the latter only.
CREATE TABLE firing (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    trigger TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    context_hash TEXT,
    key TEXT,
    execution INTEGER REFERENCES execution (id),
    error TEXT
);

CREATE INDEX firing_trigger ON firing (namespace, trigger);

CREATE TABLE schedule (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    workflow TEXT NOT NULL,
    expression TEXT NOT NULL,
    timezone TEXT,
    context TEXT NOT NULL,
    catchup TEXT NOT NULL,
    max_catchup INTEGER NOT NULL,
    overlap TEXT NOT NULL,
    anchor INTEGER NOT NULL,
    answered INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    version INTEGER NOT NULL,
    last_run INTEGER,
    UNIQUE (namespace, name)
);

-- The number of changes of schedules, those that were dropped included.
CREATE TABLE schedule_version (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL
);

INSERT INTO schedule_version VALUES (1, 0);

-- A tick is answered once, whatever becomes of its schedule.
CREATE TABLE tick (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    schedule INTEGER NOT NULL REFERENCES schedule (id),
    at INTEGER NOT NULL,
    until INTEGER,
    noted INTEGER NOT NULL,
    execution INTEGER REFERENCES execution (id),
    dropped TEXT,
    UNIQUE (schedule, at)
);
