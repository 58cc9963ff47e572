-- The words of a message are found by search_key, which goes with its time, as messages come: what is written of them is on few
-- pages, however many there are.
CREATE TABLE words_in_order (
    search_key  INTEGER PRIMARY KEY,
    instance_id TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    occurred_at TEXT    NOT NULL,
    words       TEXT    NOT NULL,
    facets      TEXT    NOT NULL
) STRICT;
INSERT INTO words_in_order SELECT * FROM message_search ORDER BY search_key;
DROP TABLE message_search;
ALTER TABLE words_in_order RENAME TO message_search;

-- The same words on both databases, for people who look for some.
CREATE VIEW v_words AS
SELECT instance_id, id, occurred_at, words
FROM message_search;
