-- Who may read the API. Of a token itself there is its SHA-256 alone.
CREATE TABLE api_tokens (
    id           INT8        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         TEXT        COLLATE "C" NOT NULL,
    prefix       TEXT        COLLATE "C" NOT NULL,
    sha256       BYTEA       NOT NULL,
    instances    TEXT        COLLATE "C",
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ,
    revoked_at   TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX api_tokens_sha256 ON api_tokens (sha256);

-- Whether an instance has a file, and under which name first, without looking at all the messages that came with it.
CREATE INDEX media_owners ON media (object_key, instance_id, stored_at) WHERE object_key IS NOT NULL;
