-- What reading needs: columns that are worked out once, when a message is written; the words of bodies; and an index
-- for each way to ask.

-- An index of PostgreSQL holds no longer ones; the program takes none any more.
UPDATE messages SET type = NULL WHERE length(CAST(type AS BLOB)) > 128;
UPDATE messages SET status = NULL WHERE length(CAST(status AS BLOB)) > 128;
ALTER TABLE messages ADD COLUMN delivered_at TEXT;
ALTER TABLE messages ADD COLUMN read_at TEXT;
DROP INDEX messages_chat;
CREATE INDEX messages_chat ON messages (instance_id, chat_id, occurred_at, id, from_me, type, received_at);
CREATE INDEX messages_occurred ON messages (instance_id, occurred_at, id, from_me, type);
CREATE INDEX messages_answers ON messages (instance_id, chat_id, occurred_at, id) WHERE from_me;
CREATE INDEX messages_received ON messages (instance_id, received_at, id);
CREATE INDEX messages_direction ON messages (instance_id, from_me, is_group, occurred_at, id);
CREATE INDEX messages_type ON messages (instance_id, type, occurred_at, id, from_me, is_group);
CREATE INDEX messages_from ON messages (instance_id, from_id, occurred_at, id, type);
CREATE INDEX messages_to ON messages (instance_id, to_id, occurred_at, id, type);
CREATE INDEX messages_ack ON messages (instance_id, from_me, is_group, ack, occurred_at, id, type);
CREATE INDEX messages_status ON messages (instance_id, status, occurred_at, id);
CREATE INDEX messages_quoted ON messages (instance_id, quoted_message_id, occurred_at, id)
    WHERE quoted_message_id IS NOT NULL;
CREATE INDEX messages_media ON messages (instance_id, occurred_at, id, from_me, is_group) WHERE media_url IS NOT NULL;
CREATE INDEX messages_delivery ON messages (instance_id, occurred_at, ack_rank, delivered_at, read_at, from_me)
    WHERE from_me;

ALTER TABLE chats ADD COLUMN contact TEXT;
ALTER TABLE chats ADD COLUMN is_group INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN search TEXT NOT NULL DEFAULT '';
ALTER TABLE chats ADD COLUMN waiting_since TEXT;
ALTER TABLE chats ADD COLUMN waiting_id TEXT;
DROP INDEX chats_latest;
CREATE INDEX chats_latest ON chats (instance_id, last_message_at, chat_id);
CREATE INDEX chats_waiting ON chats (instance_id, waiting_since, chat_id) WHERE waiting_since IS NOT NULL;
CREATE INDEX chats_contact ON chats (instance_id, contact) WHERE contact IS NOT NULL;

-- One row for each time that somebody waited for an answer and had it.
CREATE TABLE responses (
    instance_id   TEXT    NOT NULL,
    chat_id       TEXT    NOT NULL,
    waiting_since TEXT    NOT NULL,
    incoming_id   TEXT    NOT NULL,
    answered_at   TEXT    NOT NULL,
    outgoing_id   TEXT    NOT NULL,
    seconds       INTEGER NOT NULL,
    PRIMARY KEY (instance_id, chat_id, waiting_since)
) STRICT, WITHOUT ROWID;
CREATE INDEX responses_waiting ON responses (instance_id, waiting_since, seconds);

-- The words of the messages' bodies, without case and accents. The key holds the time in its upper bits, so that
-- what is found comes in its order.
CREATE TABLE message_search (
    search_key  INTEGER PRIMARY KEY,
    instance_id TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    occurred_at TEXT    NOT NULL,
    words       TEXT    NOT NULL,
    facets      TEXT    NOT NULL,
    UNIQUE (instance_id, id)
) STRICT;
CREATE VIRTUAL TABLE message_words USING fts5 (
    words, facets, content = 'message_search', content_rowid = 'search_key', tokenize = 'ascii', columnsize = 0
);

CREATE INDEX events_instance ON events (instance_id, seq);
CREATE INDEX events_not_applied ON events (instance_id, state, seq) WHERE state <> 'applied';
CREATE INDEX message_acks_received ON message_acks (instance_id, received_at, message_id, ack);
CREATE INDEX message_acks_word ON message_acks (instance_id, ack, received_at, message_id);
CREATE INDEX message_reactions_reacted
    ON message_reactions (instance_id, reacted_at, message_id, from_number, reaction);
CREATE INDEX message_reactions_person
    ON message_reactions (instance_id, from_number, reacted_at, message_id, reaction);
CREATE INDEX media_listed ON media (instance_id, occurred_at, message_id, source_sha256, content_type, size);
CREATE INDEX media_listed_by_type
    ON media (instance_id, substr(content_type, 1, 5), occurred_at, message_id, source_sha256, content_type);
CREATE INDEX media_listed_by_state ON media (instance_id, state, occurred_at, message_id, source_sha256);

-- Whether all of this has been worked out for what was there before it, and how far that has come.
ALTER TABLE installation ADD COLUMN derived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE installation ADD COLUMN derived_up_to TEXT;
UPDATE installation SET derived = 1 WHERE NOT EXISTS (SELECT 1 FROM messages);
