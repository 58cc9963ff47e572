-- The key of the words goes with time, as messages come: what is written of it is on few pages, however many there are.

-- Behind the batches that are under way, before any table is taken: they take these in another order.
UPDATE ledger_clock SET seq = seq;

ALTER TABLE message_search DROP CONSTRAINT message_search_pkey;
ALTER TABLE message_search ADD PRIMARY KEY (instance_id, occurred_at, id);
