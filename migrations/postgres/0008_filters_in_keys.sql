-- Of the columns that follow a key (INCLUDE) a filter is looked at in the row itself, wherever a question asks for more than the index
-- has. In the key, it is looked at in the index: a page of a chat's pictures no longer reads the whole chat.

-- Behind the batches that are under way, before any table is taken: they take these in another order.
UPDATE ledger_clock SET seq = seq;

DROP INDEX messages_chat;
CREATE INDEX messages_chat ON messages (instance_id, chat_id, occurred_at, id, from_me, type, received_at);
DROP INDEX messages_from;
CREATE INDEX messages_from ON messages (instance_id, from_id, occurred_at, id, type) WHERE from_id IS DISTINCT FROM chat_id;
DROP INDEX messages_to;
CREATE INDEX messages_to ON messages (instance_id, to_id, occurred_at, id, type) WHERE to_id IS DISTINCT FROM chat_id;
DROP INDEX messages_type;
CREATE INDEX messages_type ON messages (instance_id, type, occurred_at, id, from_me, is_group) WHERE type <> 'text';
DROP INDEX messages_ack;
CREATE INDEX messages_ack ON messages (instance_id, from_me, is_group, ack, occurred_at, id, type)
    WHERE (from_me OR ack <> 'pending');
DROP INDEX messages_media;
CREATE INDEX messages_media ON messages (instance_id, occurred_at, id, from_me, is_group) WHERE media_url IS NOT NULL;
DROP INDEX chats_latest;
CREATE INDEX chats_latest ON chats (instance_id, last_message_at, chat_id, is_group);
