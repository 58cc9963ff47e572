-- What reading needs: columns that are worked out once, when a message is written; the words of bodies; and an index
-- for each way to ask.

-- Behind the batches that are under way, before any table is taken: they take these in another order.
UPDATE ledger_clock SET seq = seq;

-- An index holds no longer ones; the program takes none any more.
UPDATE messages SET type = NULL WHERE octet_length(type) > 128;
UPDATE messages SET status = NULL WHERE octet_length(status) > 128;
ALTER TABLE messages
    ADD COLUMN delivered_at TIMESTAMPTZ,
    ADD COLUMN read_at      TIMESTAMPTZ;
DROP INDEX messages_chat;
CREATE INDEX messages_chat ON messages (instance_id, chat_id, occurred_at, id) INCLUDE (from_me, type, received_at);
CREATE INDEX messages_occurred ON messages (instance_id, occurred_at, id) INCLUDE (from_me, type);
CREATE INDEX messages_answers ON messages (instance_id, chat_id, occurred_at, id) WHERE from_me;
CREATE INDEX messages_received ON messages (instance_id, received_at, id);
CREATE INDEX messages_direction ON messages (instance_id, from_me, is_group, occurred_at, id);
CREATE INDEX messages_type ON messages (instance_id, type, occurred_at, id) INCLUDE (from_me, is_group);
CREATE INDEX messages_from ON messages (instance_id, from_id, occurred_at, id) INCLUDE (type);
CREATE INDEX messages_to ON messages (instance_id, to_id, occurred_at, id) INCLUDE (type);
CREATE INDEX messages_ack ON messages (instance_id, from_me, is_group, ack, occurred_at, id) INCLUDE (type);
CREATE INDEX messages_status ON messages (instance_id, status, occurred_at, id);
CREATE INDEX messages_quoted ON messages (instance_id, quoted_message_id, occurred_at, id)
    WHERE quoted_message_id IS NOT NULL;
CREATE INDEX messages_media ON messages (instance_id, occurred_at, id) INCLUDE (from_me, is_group)
    WHERE media_url IS NOT NULL;
CREATE INDEX messages_delivery ON messages (instance_id, occurred_at) INCLUDE (ack_rank, delivered_at, read_at)
    WHERE from_me;

ALTER TABLE chats
    ADD COLUMN contact       TEXT COLLATE "C",
    ADD COLUMN is_group      BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN search        TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN waiting_since TIMESTAMPTZ,
    ADD COLUMN waiting_id    TEXT COLLATE "C";
DROP INDEX chats_latest;
CREATE INDEX chats_latest ON chats (instance_id, last_message_at, chat_id);
CREATE INDEX chats_waiting ON chats (instance_id, waiting_since, chat_id) WHERE waiting_since IS NOT NULL;
CREATE INDEX chats_contact ON chats (instance_id, contact) WHERE contact IS NOT NULL;

-- One row for each time that somebody waited for an answer and had it.
CREATE TABLE responses (
    instance_id   TEXT        COLLATE "C" NOT NULL,
    chat_id       TEXT        COLLATE "C" NOT NULL,
    waiting_since TIMESTAMPTZ NOT NULL,
    incoming_id   TEXT        COLLATE "C" NOT NULL,
    answered_at   TIMESTAMPTZ NOT NULL,
    outgoing_id   TEXT        COLLATE "C" NOT NULL,
    seconds       INT8        NOT NULL,
    PRIMARY KEY (instance_id, chat_id, waiting_since)
);
CREATE INDEX responses_waiting ON responses (instance_id, waiting_since) INCLUDE (seconds);

-- The words of the messages' bodies, without case and accents, and facets that narrow a search: week, instance, chat.
-- A search reads the list of new rows from end to end, so it is kept short.
CREATE TABLE message_search (
    instance_id TEXT        COLLATE "C" NOT NULL,
    id          TEXT        COLLATE "C" NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    words       TSVECTOR    NOT NULL,
    PRIMARY KEY (instance_id, id)
);
CREATE INDEX message_words ON message_search USING gin (words) WITH (gin_pending_list_limit = 512);

CREATE INDEX events_instance ON events (instance_id, seq);
CREATE INDEX events_not_applied ON events (instance_id, state, seq) WHERE state <> 'applied';
CREATE INDEX message_acks_received ON message_acks (instance_id, received_at, message_id, ack);
CREATE INDEX message_acks_word ON message_acks (instance_id, ack, received_at, message_id);
CREATE INDEX message_reactions_reacted
    ON message_reactions (instance_id, reacted_at, message_id, from_number, reaction);
CREATE INDEX message_reactions_person
    ON message_reactions (instance_id, from_number, reacted_at, message_id, reaction);
CREATE INDEX media_listed ON media (instance_id, occurred_at, message_id, source_sha256) INCLUDE (content_type, size);
CREATE INDEX media_listed_by_type
    ON media (instance_id, substr(content_type, 1, 5), occurred_at, message_id, source_sha256) INCLUDE (content_type);
CREATE INDEX media_listed_by_state ON media (instance_id, state, occurred_at, message_id, source_sha256);

-- Whether all of this has been worked out for what was there before it, and how far that has come.
ALTER TABLE installation
    ADD COLUMN derived       INT4 NOT NULL DEFAULT 0,
    ADD COLUMN derived_up_to TEXT COLLATE "C";
UPDATE installation SET derived = 1 WHERE NOT EXISTS (SELECT 1 FROM messages);

-- What the planner expects of a value that it does not see. Left to itself it takes the average of all rows, and where one
-- instance has nearly all of them, it would read those for another that has a few.
ALTER TABLE events ALTER COLUMN instance_id SET (n_distinct = 1000);
ALTER TABLE messages
    ALTER COLUMN instance_id SET (n_distinct = 1000),
    ALTER COLUMN from_me SET (n_distinct = 100),
    ALTER COLUMN is_group SET (n_distinct = 100),
    ALTER COLUMN type SET (n_distinct = 1000),
    ALTER COLUMN ack SET (n_distinct = 1000),
    ALTER COLUMN status SET (n_distinct = 1000);
ALTER TABLE chats ALTER COLUMN instance_id SET (n_distinct = 1000);
ALTER TABLE responses ALTER COLUMN instance_id SET (n_distinct = 1000);
ALTER TABLE message_acks
    ALTER COLUMN instance_id SET (n_distinct = 1000),
    ALTER COLUMN ack SET (n_distinct = 1000);
ALTER TABLE message_reactions ALTER COLUMN instance_id SET (n_distinct = 1000);
ALTER TABLE media
    ALTER COLUMN instance_id SET (n_distinct = 1000),
    ALTER COLUMN state SET (n_distinct = 1000);
