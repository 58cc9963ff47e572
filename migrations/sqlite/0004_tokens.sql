-- Who may read the API. Of a token itself there is its SHA-256 alone.
CREATE TABLE api_tokens (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL,
    prefix       TEXT    NOT NULL,
    sha256       BLOB    NOT NULL,
    instances    TEXT,
    created_at   TEXT    NOT NULL,
    expires_at   TEXT,
    revoked_at   TEXT,
    last_used_at TEXT
) STRICT;
CREATE UNIQUE INDEX api_tokens_sha256 ON api_tokens (sha256);

-- Whether an instance has a file, and under which name first, without looking at all the messages that came with it.
CREATE INDEX media_owners ON media (object_key, instance_id, stored_at) WHERE object_key IS NOT NULL;
