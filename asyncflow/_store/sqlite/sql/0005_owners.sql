-- Leases, what one runner of all does alone, and what makes it cheap to forget what is old.

-- A runner counts a beat each quarter of its lease; one without a lease (0) shows no life.
ALTER TABLE runner ADD COLUMN beat INTEGER NOT NULL DEFAULT 0;

ALTER TABLE runner ADD COLUMN lease INTEGER NOT NULL DEFAULT 0; -- microseconds

-- How often it began again after a crash, since a task of it has ended.
ALTER TABLE execution ADD COLUMN recoveries INTEGER NOT NULL DEFAULT 0;

-- The keys are those of the events that workflow rules expect, a JSON array.
CREATE TABLE duty (
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    runner TEXT NOT NULL,
    keys TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (kind, namespace, name)
) WITHOUT ROWID;

CREATE INDEX duty_runner ON duty (runner, kind, namespace);

-- Letters that nobody will find until somebody claims them: asked at each claim.
CREATE INDEX inbox_to_nobody ON inbox (namespace) WHERE execution IS NULL AND runner IS NULL;

-- A line of a history goes with its execution.
CREATE INDEX firing_execution ON firing (execution) WHERE execution IS NOT NULL;

CREATE INDEX tick_execution ON tick (execution) WHERE execution IS NOT NULL;

CREATE INDEX inbox_event ON inbox (event_offset) WHERE event_offset IS NOT NULL;
