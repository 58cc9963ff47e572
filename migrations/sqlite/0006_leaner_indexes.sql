-- What an event pays for is what each index takes. So none has what most rows are: lists by such a word, or of the
-- messages between a person and us, find enough of them by time, or in the person's chat.

DROP INDEX messages_from;
CREATE INDEX messages_from ON messages (instance_id, from_id, occurred_at, id, type)
    WHERE from_id IS DISTINCT FROM chat_id;
DROP INDEX messages_to;
CREATE INDEX messages_to ON messages (instance_id, to_id, occurred_at, id, type)
    WHERE to_id IS DISTINCT FROM chat_id;
DROP INDEX messages_type;
CREATE INDEX messages_type ON messages (instance_id, type, occurred_at, id, from_me, is_group) WHERE type <> 'text';
DROP INDEX messages_status;
CREATE INDEX messages_status ON messages (instance_id, status, occurred_at, id)
    WHERE status NOT IN ('received', 'sent');
DROP INDEX messages_ack;
CREATE INDEX messages_ack ON messages (instance_id, from_me, is_group, ack, occurred_at, id, type)
    WHERE (from_me OR ack <> 'pending');
DROP INDEX message_acks_word;
CREATE INDEX message_acks_word ON message_acks (instance_id, ack, received_at, message_id)
    WHERE ack NOT IN ('pending', 'sent', 'delivered', 'read');
