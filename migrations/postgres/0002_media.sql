-- What the media worker needs to know of a job.
ALTER TABLE media
    ADD COLUMN source_host TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN occurred_at TIMESTAMPTZ,
    ADD COLUMN denials     INT4 NOT NULL DEFAULT 0,
    ADD COLUMN file_name   TEXT COLLATE "C",
    ADD COLUMN settled_seq INT8;
UPDATE media SET occurred_at = next_attempt_at;
ALTER TABLE media
    ALTER COLUMN source_host DROP DEFAULT,
    ALTER COLUMN occurred_at SET NOT NULL,
    ALTER COLUMN denials DROP DEFAULT;
CREATE INDEX media_leased ON media (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX media_occurred ON media (occurred_at, state);
CREATE INDEX media_objects ON media (object_key, size) WHERE object_key IS NOT NULL;
-- The feed walks over the files whose jobs have ended: over all of them, or over those of an instance.
CREATE INDEX media_settled ON media (settled_seq) WHERE settled_seq IS NOT NULL;
CREATE INDEX media_settled_of ON media (instance_id, settled_seq) WHERE settled_seq IS NOT NULL;

-- Objects that somebody is about to delete or to put again; nobody else may meanwhile.
CREATE TABLE media_object_locks (
    object_key   TEXT        COLLATE "C" PRIMARY KEY,
    locked_until TIMESTAMPTZ NOT NULL
);

-- Names this database in the marker of a media store, so that nobody else's objects are swept.
CREATE TABLE installation (
    id          INT4 PRIMARY KEY,
    database_id TEXT COLLATE "C" NOT NULL
);
INSERT INTO installation (id, database_id) VALUES (1, replace(gen_random_uuid()::text, '-', ''));
