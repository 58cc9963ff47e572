-- The ledger and what follows from it. The same tables, columns and views as migrations/sqlite/0001_core.sql;
-- docs/schema.md says what each column means.

-- One row: the number of the latest event. A batch begins by taking its numbers here and holds the row to its
-- commit, so that there is one writing transaction at a time, and no event ever appears below a visible seq.
CREATE TABLE ledger_clock (
    id  INT4 PRIMARY KEY,
    seq INT8 NOT NULL
);
INSERT INTO ledger_clock (id, seq) VALUES (1, 0);

CREATE TABLE events (
    seq              INT8        NOT NULL,
    instance_id      TEXT        COLLATE "C" NOT NULL,
    event_type       TEXT        COLLATE "C",
    message_id       TEXT        COLLATE "C",
    chat_id          TEXT        COLLATE "C",
    body             BYTEA,
    body_sha256      BYTEA       NOT NULL,
    received_at      TIMESTAMPTZ NOT NULL,
    deliveries       INT8        NOT NULL,
    last_received_at TIMESTAMPTZ NOT NULL,
    signed           BOOLEAN     NOT NULL,
    state            TEXT        COLLATE "C" NOT NULL,
    reason           TEXT        COLLATE "C",
    PRIMARY KEY (instance_id, body_sha256)
);
CREATE INDEX events_seq ON events (seq);
CREATE INDEX events_message ON events (instance_id, message_id);

CREATE TABLE messages (
    instance_id       TEXT        COLLATE "C" NOT NULL,
    id                TEXT        COLLATE "C" NOT NULL,
    chat_id           TEXT        COLLATE "C",
    from_id           TEXT        COLLATE "C",
    to_id             TEXT        COLLATE "C",
    from_me           BOOLEAN     NOT NULL,
    sender_name       TEXT        COLLATE "C",
    body              TEXT        COLLATE "C",
    type              TEXT        COLLATE "C",
    sent_at           TIMESTAMPTZ,
    is_group          BOOLEAN     NOT NULL,
    quoted_message_id TEXT        COLLATE "C",
    reaction          TEXT        COLLATE "C",
    media_url         TEXT        COLLATE "C",
    latitude          FLOAT8,
    longitude         FLOAT8,
    vcard             TEXT        COLLATE "C",
    status            TEXT        COLLATE "C",
    ack               TEXT        COLLATE "C" NOT NULL,
    ack_rank          INT2        NOT NULL,
    group_sender      TEXT        COLLATE "C",
    received_at       TIMESTAMPTZ NOT NULL,
    occurred_at       TIMESTAMPTZ NOT NULL,
    event_seq         INT8        NOT NULL,
    PRIMARY KEY (instance_id, id)
);
CREATE INDEX messages_chat ON messages (instance_id, chat_id, occurred_at, id);
CREATE INDEX messages_outgoing ON messages (id) WHERE from_me;

CREATE TABLE message_acks (
    instance_id TEXT        COLLATE "C" NOT NULL,
    message_id  TEXT        COLLATE "C" NOT NULL,
    ack         TEXT        COLLATE "C" NOT NULL,
    ack_rank    INT2        NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (instance_id, message_id, ack)
);

CREATE TABLE message_reactions (
    instance_id TEXT        COLLATE "C" NOT NULL,
    message_id  TEXT        COLLATE "C" NOT NULL,
    from_number TEXT        COLLATE "C" NOT NULL,
    reaction    TEXT        COLLATE "C" NOT NULL,
    reacted_at  TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (instance_id, message_id, from_number, reaction, reacted_at)
);

CREATE TABLE chats (
    instance_id      TEXT        COLLATE "C" NOT NULL,
    chat_id          TEXT        COLLATE "C" NOT NULL,
    name             TEXT        COLLATE "C",
    name_at          TIMESTAMPTZ,
    name_message_id  TEXT        COLLATE "C",
    message_count    INT8        NOT NULL,
    last_message_at  TIMESTAMPTZ NOT NULL,
    last_message_id  TEXT        COLLATE "C" NOT NULL,
    last_incoming_at TIMESTAMPTZ,
    last_incoming_id TEXT        COLLATE "C",
    last_outgoing_at TIMESTAMPTZ,
    last_outgoing_id TEXT        COLLATE "C",
    PRIMARY KEY (instance_id, chat_id)
);
CREATE INDEX chats_latest ON chats (last_message_at, instance_id, chat_id);

CREATE TABLE media (
    instance_id     TEXT        COLLATE "C" NOT NULL,
    message_id      TEXT        COLLATE "C" NOT NULL,
    source_sha256   BYTEA       NOT NULL,
    source_url      TEXT        COLLATE "C" NOT NULL,
    state           TEXT        COLLATE "C" NOT NULL,
    reason          TEXT        COLLATE "C",
    attempts        INT4        NOT NULL,
    next_attempt_at TIMESTAMPTZ NOT NULL,
    lease_until     TIMESTAMPTZ,
    lease_token     INT8        NOT NULL,
    object_key      TEXT        COLLATE "C",
    size            INT8,
    content_type    TEXT        COLLATE "C",
    stored_at       TIMESTAMPTZ,
    PRIMARY KEY (instance_id, message_id, source_sha256)
);
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
