-- The one table of the baselines, with the key of ours, for both databases.
CREATE TABLE IF NOT EXISTS messages (
    instance_id       TEXT NOT NULL,
    id                TEXT NOT NULL,
    chat_id           TEXT,
    from_id           TEXT,
    to_id             TEXT,
    from_me           INTEGER,
    sender_name       TEXT,
    body              TEXT,
    type              TEXT,
    sent_at           BIGINT,
    is_group          INTEGER,
    quoted_message_id TEXT,
    reaction          TEXT,
    media_url         TEXT,
    status            TEXT,
    ack               TEXT,
    group_sender      TEXT,
    PRIMARY KEY (instance_id, id)
);
