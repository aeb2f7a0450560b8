-- Times are microseconds since 1970 UTC; values, contexts and bodies are JSON text.
-- References are declared for tools (PRAGMA foreign_key_check) and not enforced: each
-- transaction looks once whether the executions that it names exist.

CREATE TABLE runner (
    epoch INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    pid INTEGER NOT NULL,
    process TEXT NOT NULL,
    host TEXT NOT NULL,
    since INTEGER NOT NULL
);

CREATE TABLE execution (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    workflow TEXT NOT NULL,
    namespace TEXT NOT NULL,
    execution_type TEXT NOT NULL,
    created INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    owner TEXT,
    status TEXT NOT NULL,
    stopping INTEGER NOT NULL,
    "begin" INTEGER,
    "end" INTEGER,
    error TEXT,
    parked_reason TEXT
);

CREATE INDEX execution_unfinished ON execution (owner) WHERE status IN ('INIT', 'RUNNING');

CREATE TABLE task_execution (
    id INTEGER PRIMARY KEY,
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
    UNIQUE (execution, task, seq)
);

CREATE TABLE context (
    execution INTEGER NOT NULL REFERENCES execution (id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (execution, key)
) WITHOUT ROWID;

CREATE TABLE event (
    "offset" INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    namespace TEXT NOT NULL,
    execution INTEGER REFERENCES execution (id),
    sender TEXT,
    create_time INTEGER NOT NULL,
    context TEXT
);

CREATE INDEX event_key ON event (namespace, key);
CREATE INDEX event_execution ON event (execution) WHERE execution IS NOT NULL;

CREATE TABLE fact (
    id INTEGER PRIMARY KEY,
    execution INTEGER NOT NULL REFERENCES execution (id),
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL
);

CREATE INDEX fact_execution ON fact (execution);

CREATE TABLE inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    execution INTEGER REFERENCES execution (id),
    namespace TEXT NOT NULL,
    runner TEXT,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL,
    event_offset INTEGER REFERENCES event ("offset")
);
