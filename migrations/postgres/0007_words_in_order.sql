-- The key of the words goes with time, as messages come: what is written of it is on few pages, however many there are.

-- Behind the batches that are under way, before any table is taken: they take these in another order.
UPDATE ledger_clock SET seq = seq;

ALTER TABLE message_search DROP CONSTRAINT message_search_pkey;
ALTER TABLE message_search ADD PRIMARY KEY (instance_id, occurred_at, id);

-- The same words on both databases, for people who look for some.
CREATE VIEW v_words AS
SELECT
    instance_id,
    id,
    occurred_at,
    (
        SELECT string_agg(word.lexeme, ' ' ORDER BY place)
        FROM unnest(words) AS word
        CROSS JOIN unnest(word.positions) AS place
    ) AS words
FROM message_search;
