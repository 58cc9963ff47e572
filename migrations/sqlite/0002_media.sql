-- What the media worker needs to know of a job. The table is made anew: SQLite adds no NOT NULL column to one with rows.
CREATE TABLE media_jobs (
    instance_id     TEXT    NOT NULL,
    message_id      TEXT    NOT NULL,
    source_sha256   BLOB    NOT NULL,
    source_url      TEXT    NOT NULL,
    source_host     TEXT    NOT NULL,
    occurred_at     TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    reason          TEXT,
    attempts        INTEGER NOT NULL,
    denials         INTEGER NOT NULL,
    next_attempt_at TEXT    NOT NULL,
    lease_until     TEXT,
    lease_token     INTEGER NOT NULL,
    object_key      TEXT,
    size            INTEGER,
    content_type    TEXT,
    file_name       TEXT,
    stored_at       TEXT,
    settled_seq     INTEGER,
    PRIMARY KEY (instance_id, message_id, source_sha256)
) STRICT;
INSERT INTO media_jobs (
    instance_id, message_id, source_sha256, source_url, source_host, occurred_at, state, reason, attempts, denials,
    next_attempt_at, lease_token
)
SELECT
    instance_id, message_id, source_sha256, source_url, '', next_attempt_at, state, reason, attempts, 0,
    next_attempt_at, lease_token
FROM media;
DROP TABLE media;
ALTER TABLE media_jobs RENAME TO media;
CREATE INDEX media_due ON media (next_attempt_at) WHERE state = 'pending';
CREATE INDEX media_leased ON media (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX media_occurred ON media (occurred_at, state);
CREATE INDEX media_objects ON media (object_key, size) WHERE object_key IS NOT NULL;
-- The feed walks over the files whose jobs have ended: over all of them, or over those of an instance.
CREATE INDEX media_settled ON media (settled_seq) WHERE settled_seq IS NOT NULL;
CREATE INDEX media_settled_of ON media (instance_id, settled_seq) WHERE settled_seq IS NOT NULL;

-- Objects that somebody is about to delete or to put again; nobody else may meanwhile.
CREATE TABLE media_object_locks (
    object_key   TEXT PRIMARY KEY,
    locked_until TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Names this database in the marker of a media store, so that nobody else's objects are swept.
CREATE TABLE installation (
    id          INTEGER PRIMARY KEY,
    database_id TEXT    NOT NULL
) STRICT;
INSERT INTO installation (id, database_id) VALUES (1, lower(hex(randomblob(16))));
