-- Events that are born waiting, and what makes it cheap to find out whose turn it is.

-- A row waits while it is RUNNING; past its deadline it is TIMED_OUT for everybody who looks.
CREATE TABLE awaited_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    execution INTEGER NOT NULL REFERENCES execution (id),
    namespace TEXT NOT NULL, -- that of the execution, for the index
    task TEXT NOT NULL,
    seq INTEGER NOT NULL,
    name TEXT NOT NULL,
    place INTEGER NOT NULL,
    label TEXT NOT NULL,
    failures INTEGER NOT NULL,
    data_type TEXT NOT NULL,
    prompt TEXT NOT NULL,
    prompt_type TEXT NOT NULL,
    description TEXT NOT NULL,
    created INTEGER NOT NULL,
    deadline INTEGER,
    phase TEXT NOT NULL,
    value TEXT,
    ended INTEGER,
    sender TEXT,
    comment TEXT,
    "offset" INTEGER,
    notified INTEGER,
    webhook_error TEXT
);

CREATE INDEX awaited_place ON awaited_event (execution, task, seq, name, place);

CREATE UNIQUE INDEX awaited_waiting ON awaited_event (execution, task, seq, name)
WHERE phase = 'RUNNING';

CREATE INDEX awaited_waiting_namespace ON awaited_event (namespace) WHERE phase = 'RUNNING';

-- The awaited event that a signal has answered with this event.
ALTER TABLE event ADD COLUMN awaited INTEGER REFERENCES awaited_event (id);

ALTER TABLE task_execution ADD COLUMN awaits INTEGER NOT NULL DEFAULT 0;

ALTER TABLE runner ADD COLUMN address TEXT;

CREATE INDEX execution_unowned ON execution (namespace, workflow)
WHERE owner IS NULL AND status IN ('INIT', 'RUNNING');

CREATE INDEX inbox_execution ON inbox (execution) WHERE execution IS NOT NULL;
