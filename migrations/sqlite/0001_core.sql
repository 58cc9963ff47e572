-- The ledger and what follows from it. The same tables, columns and views as migrations/postgres/0001_core.sql;
-- docs/schema.md says what each column means.

-- One row: the number of the latest event. A batch begins by taking its numbers here and holds the row to its
-- commit, so that there is one writing transaction at a time, and no event ever appears below a visible seq.
CREATE TABLE ledger_clock (
    id  INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO ledger_clock (id, seq) VALUES (1, 0);

CREATE TABLE events (
    seq              INTEGER PRIMARY KEY,
    instance_id      TEXT    NOT NULL,
    event_type       TEXT,
    message_id       TEXT,
    chat_id          TEXT,
    body             BLOB,
    body_sha256      BLOB    NOT NULL,
    received_at      TEXT    NOT NULL,
    deliveries       INTEGER NOT NULL,
    last_received_at TEXT    NOT NULL,
    signed           INTEGER NOT NULL,
    state            TEXT    NOT NULL,
    reason           TEXT,
    UNIQUE (instance_id, body_sha256)
) STRICT;
CREATE INDEX events_message ON events (instance_id, message_id);

CREATE TABLE messages (
    instance_id       TEXT    NOT NULL,
    id                TEXT    NOT NULL,
    chat_id           TEXT,
    from_id           TEXT,
    to_id             TEXT,
    from_me           INTEGER NOT NULL,
    sender_name       TEXT,
    body              TEXT,
    type              TEXT,
    sent_at           TEXT,
    is_group          INTEGER NOT NULL,
    quoted_message_id TEXT,
    reaction          TEXT,
    media_url         TEXT,
    latitude          REAL,
    longitude         REAL,
    vcard             TEXT,
    status            TEXT,
    ack               TEXT    NOT NULL,
    ack_rank          INTEGER NOT NULL,
    group_sender      TEXT,
    received_at       TEXT    NOT NULL,
    occurred_at       TEXT    NOT NULL,
    event_seq         INTEGER NOT NULL,
    PRIMARY KEY (instance_id, id)
) STRICT;
CREATE INDEX messages_chat ON messages (instance_id, chat_id, occurred_at, id);
CREATE INDEX messages_outgoing ON messages (id) WHERE from_me;

CREATE TABLE message_acks (
    instance_id TEXT    NOT NULL,
    message_id  TEXT    NOT NULL,
    ack         TEXT    NOT NULL,
    ack_rank    INTEGER NOT NULL,
    received_at TEXT    NOT NULL,
    PRIMARY KEY (instance_id, message_id, ack)
) STRICT, WITHOUT ROWID;

CREATE TABLE message_reactions (
    instance_id TEXT NOT NULL,
    message_id  TEXT NOT NULL,
    from_number TEXT NOT NULL,
    reaction    TEXT NOT NULL,
    reacted_at  TEXT NOT NULL,
    received_at TEXT NOT NULL,
    PRIMARY KEY (instance_id, message_id, from_number, reaction, reacted_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE chats (
    instance_id      TEXT    NOT NULL,
    chat_id          TEXT    NOT NULL,
    name             TEXT,
    name_at          TEXT,
    name_message_id  TEXT,
    message_count    INTEGER NOT NULL,
    last_message_at  TEXT    NOT NULL,
    last_message_id  TEXT    NOT NULL,
    last_incoming_at TEXT,
    last_incoming_id TEXT,
    last_outgoing_at TEXT,
    last_outgoing_id TEXT,
    PRIMARY KEY (instance_id, chat_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX chats_latest ON chats (last_message_at, instance_id, chat_id);

CREATE TABLE media (
    instance_id     TEXT    NOT NULL,
    message_id      TEXT    NOT NULL,
    source_sha256   BLOB    NOT NULL,
    source_url      TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    reason          TEXT,
    attempts        INTEGER NOT NULL,
    next_attempt_at TEXT    NOT NULL,
    lease_until     TEXT,
    lease_token     INTEGER NOT NULL,
    object_key      TEXT,
    size            INTEGER,
    content_type    TEXT,
    stored_at       TEXT,
    PRIMARY KEY (instance_id, message_id, source_sha256)
) STRICT;
CREATE INDEX media_due ON media (next_attempt_at) WHERE state = 'pending';

-- Each person's current reaction to a message: the latest, unless that is a removal.
CREATE VIEW v_current_reactions AS
SELECT instance_id, message_id, from_number, reaction, reacted_at
FROM (
    SELECT
        instance_id, message_id, from_number, reaction, reacted_at,
        row_number() OVER (
            PARTITION BY instance_id, message_id, from_number
            ORDER BY reacted_at DESC, (reaction <> '') DESC, reaction DESC
        ) AS place
    FROM message_reactions
) AS placed
WHERE place = 1 AND reaction <> '';
