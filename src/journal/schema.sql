-- The embedded journal, store version 1. One writer; readers open their own connections with `query_only`.

-- Which store this is: the command area it belongs to, how far effects have left the house, how long we were seen alive.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Accepted steps whose effects have not all left the house, and always the last one.
CREATE TABLE steps (
    number INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL            -- milliseconds since 1970-01-01 UTC
) STRICT;

-- The state: the newest version of each live document, as JSON. Keys read `<kind>/<id>`.
CREATE TABLE documents (
    key  TEXT NOT NULL UNIQUE,
    step INTEGER NOT NULL,             -- the step that wrote this version
    body TEXT NOT NULL
) STRICT;

-- Effects other than timeline entries, as JSON, until they have left the house.
CREATE TABLE outbox (
    step INTEGER NOT NULL,
    ix   INTEGER NOT NULL,             -- the place among the effects of its step; with it, the `rev`
    body TEXT NOT NULL,
    PRIMARY KEY (step, ix)
) STRICT, WITHOUT ROWID;

-- Everything that happened, in order; kept, and never changed.
CREATE TABLE timeline (
    step     INTEGER NOT NULL,
    ix       INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    incident TEXT,
    kind     TEXT NOT NULL,            -- what happened, in one word: `opened`, `ordered`, `missed` …
    drill    INTEGER NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (step, ix)
) STRICT, WITHOUT ROWID;
CREATE INDEX timeline_by_incident ON timeline (incident) WHERE incident IS NOT NULL;
CREATE INDEX timeline_by_time ON timeline (at);

-- The next position of each input that can be read again.
CREATE TABLE positions (
    name TEXT PRIMARY KEY,
    next INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
