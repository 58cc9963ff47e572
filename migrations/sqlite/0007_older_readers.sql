-- Whoever opens the file reads its whole schema, also the words of indexes: IS DISTINCT FROM came with SQLite 3.39, and Ubuntu
-- 22.04 has 3.37.
DROP INDEX messages_from;
CREATE INDEX messages_from ON messages (instance_id, from_id, occurred_at, id, type) WHERE from_id IS NOT chat_id;
DROP INDEX messages_to;
CREATE INDEX messages_to ON messages (instance_id, to_id, occurred_at, id, type) WHERE to_id IS NOT chat_id;
