-- The schema of the PostgreSQL database. The tables, columns and views are the same as in migrations/sqlite/0001_schema.sql;
-- docs/schema.md says what each column means.

-- Tables.

-- One row: the number of the latest event. A batch begins by taking its numbers here and holds the row until its
-- commit. So there is one writing transaction at a time, and no event ever appears below a visible seq.
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
    forwarded        BOOLEAN     NOT NULL DEFAULT false,
    state            TEXT        COLLATE "C" NOT NULL,
    reason           TEXT        COLLATE "C",
    file_bytes       INT8,
    quoted_message_id TEXT     COLLATE "C",
    PRIMARY KEY (instance_id, body_sha256)
);

CREATE TABLE messages (
    instance_id       TEXT        COLLATE "C" NOT NULL,
    id                TEXT        COLLATE "C" NOT NULL,
    chat_id           TEXT        COLLATE "C",
    stated_chat_id    TEXT        COLLATE "C",
    from_id           TEXT        COLLATE "C",
    to_id             TEXT        COLLATE "C",
    from_me           BOOLEAN     NOT NULL,
    sender_name       TEXT        COLLATE "C",
    body              TEXT        COLLATE "C",
    type              TEXT        COLLATE "C",
    sent_at           TIMESTAMPTZ,
    kind              TEXT        COLLATE "C" NOT NULL,
    is_group          BOOLEAN     NOT NULL,
    quoted_message_id TEXT        COLLATE "C",
    reaction          TEXT        COLLATE "C",
    media_url         TEXT        COLLATE "C",
    file_name         TEXT        COLLATE "C",
    latitude          FLOAT8,
    longitude         FLOAT8,
    vcard             TEXT        COLLATE "C",
    status            TEXT        COLLATE "C",
    ack               TEXT        COLLATE "C" NOT NULL,
    ack_rank          INT2        NOT NULL,
    group_sender      TEXT        COLLATE "C",
    received_at       TIMESTAMPTZ NOT NULL,
    occurred_at       TIMESTAMPTZ NOT NULL,
    seq               INT8        NOT NULL,
    event_seq         INT8        NOT NULL,
    last_sent_at      TIMESTAMPTZ,
    is_service        BOOLEAN     NOT NULL DEFAULT FALSE,
    edited_at         TIMESTAMPTZ,
    edited_sent_at    TIMESTAMPTZ,
    revoked_at        TIMESTAMPTZ,
    revoked_sent_at   TIMESTAMPTZ,
    revoked_seq       INT8,
    delivered_at      TIMESTAMPTZ,
    read_at           TIMESTAMPTZ,
    PRIMARY KEY (instance_id, id)
);

-- The evidence that two ids are those of one person. It only grows: a row has the lowest number of an event that gives it.
CREATE TABLE chat_links (
    instance_id TEXT   COLLATE "C" NOT NULL,
    a           TEXT   COLLATE "C" NOT NULL,
    b           TEXT   COLLATE "C" NOT NULL,
    source      TEXT   COLLATE "C" NOT NULL,
    seq         BIGINT NOT NULL,
    PRIMARY KEY (instance_id, a, b, source)
);

-- The last word of the owner about two ids, a being the lesser one.
CREATE TABLE chat_links_owner (
    instance_id TEXT    COLLATE "C" NOT NULL,
    a           TEXT    COLLATE "C" NOT NULL,
    b           TEXT    COLLATE "C" NOT NULL,
    linked      BOOLEAN NOT NULL,
    seq         BIGINT  NOT NULL,
    PRIMARY KEY (instance_id, a, b)
);

-- The last name that the owner gave each chat. NULL if it was taken back.
CREATE TABLE chat_names (
    instance_id TEXT   COLLATE "C" NOT NULL,
    chat_id     TEXT   COLLATE "C" NOT NULL,
    name        TEXT,
    seq         BIGINT NOT NULL,
    PRIMARY KEY (instance_id, chat_id)
);

-- The ids of persons whose conversations have another id. This follows from the two tables above. An id that was an alias
-- and is none any more has itself for its chat.
CREATE TABLE chat_aliases (
    instance_id TEXT   COLLATE "C" NOT NULL,
    alias       TEXT   COLLATE "C" NOT NULL,
    chat_id     TEXT   COLLATE "C" NOT NULL,
    seq         BIGINT NOT NULL,
    PRIMARY KEY (instance_id, alias)
);

-- The aliases whose messages are still on their way to their chats, from the newest to the oldest.
CREATE TABLE chat_moves (
    instance_id TEXT        COLLATE "C" NOT NULL,
    alias       TEXT        COLLATE "C" NOT NULL,
    chat_id     TEXT        COLLATE "C" NOT NULL,
    reached_at  TIMESTAMPTZ,
    reached_seq BIGINT,
    PRIMARY KEY (instance_id, alias)
);

CREATE TABLE message_acks (
    instance_id      TEXT        COLLATE "C" NOT NULL,
    message_id       TEXT        COLLATE "C" NOT NULL,
    ack              TEXT        COLLATE "C" NOT NULL,
    ack_rank         INT2        NOT NULL,
    received_at      TIMESTAMPTZ NOT NULL,
    last_received_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (instance_id, message_id, ack)
);

CREATE TABLE message_reactions (
    instance_id      TEXT        COLLATE "C" NOT NULL,
    message_id       TEXT        COLLATE "C" NOT NULL,
    from_number      TEXT        COLLATE "C" NOT NULL,
    reaction         TEXT        COLLATE "C" NOT NULL,
    reacted_at       TIMESTAMPTZ NOT NULL,
    received_at      TIMESTAMPTZ NOT NULL,
    last_received_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (instance_id, message_id, from_number, reaction, reacted_at)
);

CREATE TABLE chats (
    instance_id       TEXT        COLLATE "C" NOT NULL,
    chat_id           TEXT        COLLATE "C" NOT NULL,
    name              TEXT        COLLATE "C",
    given_name        TEXT,
    name_at           TIMESTAMPTZ,
    name_message_id   TEXT        COLLATE "C",
    name_seq          INT8,
    message_count     INT8        NOT NULL,
    service_count     INT8        NOT NULL DEFAULT 0,
    last_message_at   TIMESTAMPTZ,
    last_message_id   TEXT        COLLATE "C",
    last_incoming_at  TIMESTAMPTZ,
    last_incoming_id  TEXT        COLLATE "C",
    last_incoming_seq INT8,
    last_outgoing_at  TIMESTAMPTZ,
    last_outgoing_id  TEXT        COLLATE "C",
    last_outgoing_seq INT8,
    contact           TEXT        COLLATE "C",
    kind              TEXT        COLLATE "C" NOT NULL,
    search            TEXT        COLLATE "C" NOT NULL DEFAULT '',
    waiting_since     TIMESTAMPTZ,
    waiting_id        TEXT        COLLATE "C",
    waiting_seq       INT8,
    last_asked_at     TIMESTAMPTZ,
    PRIMARY KEY (instance_id, chat_id)
);

-- One row for each time that somebody waited for an answer and got it.
CREATE TABLE responses (
    instance_id       TEXT        COLLATE "C" NOT NULL,
    chat_id           TEXT        COLLATE "C" NOT NULL,
    kind              TEXT        COLLATE "C" NOT NULL,
    waiting_since     TIMESTAMPTZ NOT NULL,
    incoming_id       TEXT        COLLATE "C" NOT NULL,
    last_asked_at     TIMESTAMPTZ NOT NULL,
    answered_at       TIMESTAMPTZ NOT NULL,
    outgoing_id       TEXT        COLLATE "C" NOT NULL,
    seconds           INT8        NOT NULL,
    seconds_from_last INT8        NOT NULL,
    PRIMARY KEY (instance_id, chat_id, waiting_since)
);

-- The words of the messages, without case and accents, and facets that narrow a search: week, instance and chat.
-- The key has the time before the number, because messages arrive in the order of time: a batch changes few pages of the
-- key's index, however many messages there are.
CREATE TABLE message_search (
    instance_id TEXT        COLLATE "C" NOT NULL,
    id          TEXT        COLLATE "C" NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    seq         INT8        NOT NULL,
    words       TSVECTOR    NOT NULL,
    PRIMARY KEY (instance_id, occurred_at, seq)
);

-- The jobs of the media worker, one for each file of a message.
CREATE TABLE media (
    instance_id     TEXT        COLLATE "C" NOT NULL,
    message_id      TEXT        COLLATE "C" NOT NULL,
    chat_id         TEXT        COLLATE "C",
    kind            TEXT        COLLATE "C",
    source_sha256   BYTEA       NOT NULL,
    source_url      TEXT        COLLATE "C" NOT NULL,
    source_host     TEXT        COLLATE "C" NOT NULL,
    occurred_at     TIMESTAMPTZ NOT NULL,
    state           TEXT        COLLATE "C" NOT NULL,
    reason          TEXT        COLLATE "C",
    attempts        INT4        NOT NULL,
    denials         INT4        NOT NULL,
    next_attempt_at TIMESTAMPTZ NOT NULL,
    lease_until     TIMESTAMPTZ,
    lease_token     INT8        NOT NULL,
    object_key      TEXT        COLLATE "C",
    size            INT8,
    content_type    TEXT        COLLATE "C",
    file_name       TEXT        COLLATE "C",
    stored_at       TIMESTAMPTZ,
    settled_seq     INT8,
    PRIMARY KEY (instance_id, message_id, source_sha256)
);

-- Objects that a process is about to delete or to put again. No other process may do either meanwhile.
CREATE TABLE media_object_locks (
    object_key   TEXT        COLLATE "C" PRIMARY KEY,
    locked_until TIMESTAMPTZ NOT NULL
);

-- One row. database_id names this database in the marker of a media store, so that the objects of another database are
-- never swept. Each restore renews epoch, because the numbers after those of the backup are assigned again. time_zone is
-- the zone in which people read days and hours.
CREATE TABLE installation (
    id          INT4 PRIMARY KEY,
    database_id TEXT COLLATE "C" NOT NULL,
    epoch       TEXT COLLATE "C" NOT NULL,
    time_zone   TEXT COLLATE "C" NOT NULL DEFAULT 'UTC'
);
INSERT INTO installation (id, database_id, epoch)
VALUES (1, replace(gen_random_uuid()::text, '-', ''), replace(gen_random_uuid()::text, '-', ''));

-- The offsets of that zone. They are written from the program's own data, so that both databases, and every version of
-- them, give the same local times.
CREATE TABLE time_zone_offsets (
    since          TIMESTAMPTZ PRIMARY KEY,
    offset_seconds INT4        NOT NULL,
    first_day      DATE        NOT NULL
);
INSERT INTO time_zone_offsets (since, offset_seconds, first_day) VALUES ('1970-01-01T00:00:00Z', 0, '1970-01-01');

-- The tokens that may read the API. A token itself is not stored, only its SHA-256.
CREATE TABLE api_tokens (
    id           INT8        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         TEXT        COLLATE "C" NOT NULL,
    prefix       TEXT        COLLATE "C" NOT NULL,
    sha256       BYTEA       NOT NULL,
    instances    TEXT        COLLATE "C",
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ,
    revoked_at   TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ,
    can_export   BOOLEAN     NOT NULL DEFAULT false
);

-- The sessions of browsers. A session's secret is not stored, only its HMAC under a key that is in no database. Copies of the
-- database have no sessions.
CREATE TABLE sessions (
    id           INT8        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hmac         BYTEA       NOT NULL,
    code_hmac    BYTEA,
    token_id     INT8,
    token_sha256 BYTEA       NOT NULL,
    device       TEXT        COLLATE "C" NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    used_at      TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    ended_at     TIMESTAMPTZ
);

-- The exports and erasures: who did what, and when. Persons are named by pseudonyms alone.
CREATE TABLE audit (
    seq          INT8        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           TIMESTAMPTZ NOT NULL,
    actor        TEXT        COLLATE "C" NOT NULL,
    action       TEXT        COLLATE "C" NOT NULL,
    subject_hmac TEXT        COLLATE "C",
    detail       TEXT        COLLATE "C"
);

-- The secret keys of pseudonyms, one for each purpose. Two random UUIDs have 244 random bits.
CREATE TABLE pseudonym_keys (
    purpose TEXT  COLLATE "C" PRIMARY KEY,
    secret  BYTEA NOT NULL
);
INSERT INTO pseudonym_keys (purpose, secret)
VALUES ('audit', decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));

-- The forwards, each with its place in the ledger: every event up to position has ended, and of the later ones those in
-- finished, a JSON array. A process works on a forward while it holds the lease. A command that changes more than the
-- pause raises the revision, by which that process learns of it.
CREATE TABLE forwards (
    name             TEXT        COLLATE "C" PRIMARY KEY,
    position         INT8        NOT NULL,
    finished         TEXT        COLLATE "C" NOT NULL DEFAULT '[]',
    paused           BOOLEAN     NOT NULL DEFAULT false,
    pause_reason     TEXT        COLLATE "C",
    revision         INT8        NOT NULL DEFAULT 0,
    lease_until      TIMESTAMPTZ,
    lease_token      INT8        NOT NULL DEFAULT 0,
    replay_position  INT8,
    replay_until     INT8,
    replay_finished  TEXT        COLLATE "C" NOT NULL DEFAULT '[]',
    replay_even_old  BOOLEAN     NOT NULL DEFAULT false,
    stopped_since    TIMESTAMPTZ,
    stopped_reason   TEXT        COLLATE "C",
    delivered        INT8        NOT NULL DEFAULT 0,
    skipped_stale    INT8        NOT NULL DEFAULT 0,
    given_up         INT8        NOT NULL DEFAULT 0
);

-- The events that a forward could not send: those that are tried again, and those that were given up.
CREATE TABLE forward_failures (
    forward          TEXT        COLLATE "C" NOT NULL,
    seq              INT8        NOT NULL,
    state            TEXT        COLLATE "C" NOT NULL,
    attempts         INT4        NOT NULL,
    timeouts         INT4        NOT NULL,
    refusals         INT4        NOT NULL,
    replay           BOOLEAN     NOT NULL,
    even_old         BOOLEAN     NOT NULL,
    last_failed_at   TIMESTAMPTZ NOT NULL,
    next_attempt_at  TIMESTAMPTZ NOT NULL,
    class            TEXT        COLLATE "C" NOT NULL,
    status           INT4,
    error            TEXT        COLLATE "C" NOT NULL,
    PRIMARY KEY (forward, seq)
);

-- Statistics: how many rows the planner expects for a value that it does not see. By default it assumes the average of
-- all values, and where one instance has nearly all of the rows, it would read those for another instance that has few.
ALTER TABLE events ALTER COLUMN instance_id SET (n_distinct = 1000);
ALTER TABLE messages
    ALTER COLUMN instance_id SET (n_distinct = 1000),
    ALTER COLUMN from_me SET (n_distinct = 100),
    ALTER COLUMN kind SET (n_distinct = 100),
    ALTER COLUMN type SET (n_distinct = 1000),
    ALTER COLUMN ack SET (n_distinct = 1000),
    ALTER COLUMN status SET (n_distinct = 1000);
ALTER TABLE chats
    ALTER COLUMN instance_id SET (n_distinct = 1000),
    ALTER COLUMN kind SET (n_distinct = 100);
ALTER TABLE responses ALTER COLUMN instance_id SET (n_distinct = 1000);
ALTER TABLE message_acks
    ALTER COLUMN instance_id SET (n_distinct = 1000),
    ALTER COLUMN ack SET (n_distinct = 1000);
ALTER TABLE message_reactions ALTER COLUMN instance_id SET (n_distinct = 1000);
ALTER TABLE media
    ALTER COLUMN instance_id SET (n_distinct = 1000),
    ALTER COLUMN state SET (n_distinct = 1000);

-- The persons that were erased. What is left of them are marks, which are keyed hashes: of the persons, of their messages and of
-- their events, by which what comes again is recognised. A mark of a person has the time of the erasure.
CREATE TABLE erasures (
    id          INT8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL UNIQUE,
    instance_id TEXT COLLATE "C",
    begun_at    TIMESTAMPTZ NOT NULL,
    stage       TEXT COLLATE "C" NOT NULL,
    reached_seq INT8 NOT NULL,
    until_seq   INT8 NOT NULL,
    events      INT8 NOT NULL DEFAULT 0,
    messages    INT8 NOT NULL DEFAULT 0,
    files       INT8 NOT NULL DEFAULT 0,
    forwards    TEXT COLLATE "C" NOT NULL DEFAULT '',
    removed_at  TIMESTAMPTZ,
    scrubbed_at TIMESTAMPTZ
);
CREATE TABLE erasure_keys (
    id         TEXT COLLATE "C" PRIMARY KEY,
    key        BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE erasure_marks (
    mark       BYTEA PRIMARY KEY,
    erasure_id INT8 NOT NULL,
    until      TIMESTAMPTZ
);

-- The ids of a person while an erasure goes through the ledger.
CREATE TABLE erasure_ids (
    erasure_id INT8 NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (erasure_id, id)
);

-- Objects that are to be removed from the media store unless a file still refers to them.
CREATE TABLE media_removals (
    object_key TEXT COLLATE "C" PRIMARY KEY
);

-- The runs that let go of what is older than what is kept.
CREATE TABLE retention_runs (
    id       INT8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    begun_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    events   INT8 NOT NULL DEFAULT 0,
    files    INT8 NOT NULL DEFAULT 0
);

-- Indexes.
--
-- Each index serves a way to ask. Every event pays for each index that takes its rows, so those on a word leave out the
-- words that most rows have: a list by such a word finds enough rows by time. Those on the sender and the recipient leave
-- out the messages between a person and us, which a list finds in the person's chat.
--
-- The columns of filters are part of the key, and not behind it (INCLUDE): a filter on a key column is checked in the
-- index, one on an included column in the row itself as soon as a query needs more than the index has. So a page of a
-- chat's pictures does not read the whole chat.

CREATE INDEX events_seq ON events (seq);
CREATE INDEX events_message ON events (instance_id, message_id);
CREATE INDEX events_instance ON events (instance_id, seq);
CREATE INDEX events_not_applied ON events (instance_id, state, seq) WHERE state <> 'applied';

CREATE INDEX messages_outgoing ON messages (id) WHERE from_me;
CREATE INDEX messages_occurred ON messages (instance_id, occurred_at, seq) INCLUDE (from_me, type, kind, is_service);
CREATE INDEX messages_answers ON messages (instance_id, chat_id, occurred_at, seq) WHERE from_me AND NOT is_service;
CREATE INDEX messages_received ON messages (instance_id, received_at, seq);
CREATE INDEX messages_direction ON messages (instance_id, from_me, kind, occurred_at, seq);
CREATE INDEX messages_quoted ON messages (instance_id, quoted_message_id, occurred_at, seq)
    WHERE quoted_message_id IS NOT NULL;
CREATE INDEX messages_delivery ON messages (instance_id, occurred_at) INCLUDE (kind, ack_rank, delivered_at, read_at)
    WHERE from_me AND NOT is_service;
-- The messages of a day or of the last hours, whatever the instance.
CREATE INDEX messages_time ON messages (occurred_at);
-- The messages that were edited or deleted are few.
CREATE INDEX messages_edited ON messages (edited_at) WHERE edited_at IS NOT NULL;
CREATE INDEX messages_revoked ON messages (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX messages_status ON messages (instance_id, status, occurred_at, seq)
    WHERE status NOT IN ('received', 'sent');
CREATE INDEX messages_chat ON messages (instance_id, chat_id, occurred_at, seq, from_me, type, received_at, is_service);
CREATE INDEX messages_from ON messages (instance_id, from_id, occurred_at, seq, type) WHERE from_id IS DISTINCT FROM chat_id;
CREATE INDEX messages_to ON messages (instance_id, to_id, occurred_at, seq, type) WHERE to_id IS DISTINCT FROM chat_id;
CREATE INDEX messages_type ON messages (instance_id, type, occurred_at, seq, from_me, kind) WHERE type <> 'text';
CREATE INDEX messages_ack ON messages (instance_id, from_me, kind, ack, occurred_at, seq, type)
    WHERE (from_me OR ack <> 'pending');
CREATE INDEX messages_media ON messages (instance_id, occurred_at, seq, from_me, kind) WHERE media_url IS NOT NULL;
-- A person in groups. In their own chats, the author is who a message is from.
CREATE INDEX messages_author ON messages (instance_id, group_sender, occurred_at, seq, type)
    WHERE group_sender IS NOT NULL;

CREATE INDEX messages_stated ON messages (instance_id, stated_chat_id, occurred_at, seq)
    WHERE stated_chat_id IS NOT NULL;

-- A message of which a copy names another chat is looked up by those that quote it.
CREATE INDEX events_quoted ON events (instance_id, quoted_message_id, seq) WHERE quoted_message_id IS NOT NULL;
CREATE INDEX chat_links_other ON chat_links (instance_id, b, a) WHERE source <> 'first message';
CREATE INDEX chat_links_owner_other ON chat_links_owner (instance_id, b);
CREATE INDEX chat_aliases_chat ON chat_aliases (instance_id, chat_id);
-- The feed walks over the changes, either all of them or those of an instance.
CREATE INDEX chat_aliases_changed ON chat_aliases (seq);
CREATE INDEX chat_aliases_changed_of ON chat_aliases (instance_id, seq);
CREATE INDEX chat_names_changed ON chat_names (seq);
CREATE INDEX chat_names_changed_of ON chat_names (instance_id, seq);

CREATE INDEX message_acks_received ON message_acks (instance_id, received_at, message_id, ack);
CREATE INDEX message_acks_word ON message_acks (instance_id, ack, received_at, message_id)
    WHERE ack NOT IN ('pending', 'sent', 'delivered', 'read');
CREATE INDEX message_reactions_reacted
    ON message_reactions (instance_id, reacted_at, message_id, from_number, reaction);
CREATE INDEX message_reactions_person
    ON message_reactions (instance_id, from_number, reacted_at, message_id, reaction);

CREATE INDEX chats_waiting ON chats (instance_id, waiting_since, chat_id) INCLUDE (last_asked_at)
    WHERE waiting_since IS NOT NULL;
-- A person by their number, in one instance or in all of them. One index serves both, because each change of a chat is
-- written to all indexes of the table.
CREATE INDEX chats_contact ON chats (contact, instance_id) WHERE contact IS NOT NULL;
CREATE INDEX chats_latest ON chats (instance_id, kind, last_message_at, chat_id);
CREATE INDEX responses_waiting ON responses (instance_id, waiting_since) INCLUDE (kind, seconds, seconds_from_last);
-- The answers whose wait can be counted from the last question.
CREATE INDEX responses_asked_last ON responses (instance_id, last_asked_at) INCLUDE (kind, seconds, seconds_from_last)
    WHERE seconds_from_last < seconds;

-- A search reads the pending list of new rows from end to end, which takes some milliseconds. The longer the list is, the
-- less each row costs when the list goes into the index.
CREATE INDEX message_words ON message_search USING gin (words) WITH (gin_pending_list_limit = 2048);

CREATE INDEX media_due ON media (next_attempt_at) WHERE state = 'pending';
CREATE INDEX media_leased ON media (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX media_occurred ON media (occurred_at, state);
CREATE INDEX media_objects ON media (object_key, size) WHERE object_key IS NOT NULL;
-- The feed walks over the files whose jobs have ended, either all of them or those of an instance.
CREATE INDEX media_settled ON media (settled_seq) WHERE settled_seq IS NOT NULL;
CREATE INDEX media_settled_of ON media (instance_id, settled_seq) WHERE settled_seq IS NOT NULL;
CREATE INDEX media_listed ON media (instance_id, occurred_at, message_id, source_sha256) INCLUDE (content_type, size, kind);
CREATE INDEX media_listed_by_type
    ON media (instance_id, substr(content_type, 1, 5), occurred_at, message_id, source_sha256) INCLUDE (content_type);
CREATE INDEX media_listed_by_chat ON media (instance_id, chat_id, occurred_at, message_id, source_sha256);
CREATE INDEX media_listed_by_state ON media (instance_id, state, occurred_at, message_id, source_sha256);
-- This index says whether an instance has a file, and under which name first, without a look at all the messages that the
-- file came with.
CREATE INDEX media_owners ON media (object_key, instance_id, stored_at) WHERE object_key IS NOT NULL;

CREATE INDEX erasure_marks_of ON erasure_marks (erasure_id);
CREATE UNIQUE INDEX api_tokens_sha256 ON api_tokens (sha256);
CREATE UNIQUE INDEX sessions_hmac ON sessions (hmac);
CREATE UNIQUE INDEX sessions_code ON sessions (code_hmac);

-- Views.
--
-- People build on them: their names and columns are the same on both databases, and docs/sql.md says what each column
-- means. A join in a view finds at most one row, by a key, so that the planner drops the join from a query which asks for
-- none of its columns.

-- Each person's current reaction to a message, whatever id the person had: the latest one, unless that is a removal. Of
-- those of the same time, the one that arrived later is the latest.
CREATE VIEW v_current_reactions AS
SELECT instance_id, message_id, from_number, reaction, reacted_at
FROM (
    SELECT
        instance_id, message_id, from_number, reaction, reacted_at,
        row_number() OVER (
            PARTITION BY instance_id, message_id, person
            ORDER BY reacted_at DESC, last_received_at DESC, reaction DESC
        ) AS place
    FROM (
        SELECT
            r.*,
            coalesce(
                (SELECT chat_id FROM chat_aliases WHERE instance_id = r.instance_id AND alias = r.from_number),
                r.from_number
            ) AS person
        FROM message_reactions AS r
    ) AS of_person
) AS placed
WHERE place = 1 AND reaction <> '';

CREATE VIEW v_messages AS
SELECT
    m.instance_id,
    m.id,
    m.chat_id,
    c.contact,
    coalesce(c.given_name, c.name) AS contact_name,
    m.kind,
    m.is_group,
    CASE WHEN m.from_me THEN 'outgoing' ELSE 'incoming' END AS direction,
    m.from_me,
    coalesce(m.group_sender, m.from_id) AS author,
    m.sender_name,
    m.occurred_at,
    m.sent_at,
    m.received_at,
    m.local_time,
    m.local_time::date AS local_day,
    extract(hour FROM m.local_time)::int4 AS local_hour,
    extract(isodow FROM m.local_time)::int4 AS local_weekday,
    m.type,
    m.body,
    m.quoted_message_id,
    quoted.body AS quoted_body,
    (
        SELECT string_agg(r.reaction, ' ' ORDER BY r.reacted_at, r.from_number)
        FROM message_reactions AS r
        WHERE r.instance_id = m.instance_id AND r.message_id = m.id AND r.reaction <> ''
            AND NOT EXISTS (
                SELECT 1
                FROM message_reactions AS later
                WHERE later.instance_id = r.instance_id AND later.message_id = r.message_id
                    AND coalesce(
                        (SELECT chat_id FROM chat_aliases WHERE instance_id = later.instance_id AND alias = later.from_number),
                        later.from_number
                    ) = coalesce(
                        (SELECT chat_id FROM chat_aliases WHERE instance_id = r.instance_id AND alias = r.from_number),
                        r.from_number
                    )
                    AND (later.reacted_at, later.last_received_at, later.reaction)
                        > (r.reacted_at, r.last_received_at, r.reaction)
            )
    ) AS reactions,
    file.state AS media_state,
    file.object_key AS media_key,
    file.content_type,
    file.size,
    file.file_name,
    CASE WHEN m.from_me THEN m.ack END AS delivery,
    CASE WHEN m.from_me THEN m.delivered_at END AS delivered_at,
    CASE WHEN m.from_me THEN m.read_at END AS read_at,
    CASE WHEN m.from_me AND m.delivered_at IS NOT NULL THEN
        greatest(0, floor(extract(epoch FROM m.delivered_at)) - floor(extract(epoch FROM m.occurred_at)))::int8
    END AS seconds_to_delivered,
    CASE WHEN m.from_me AND m.read_at IS NOT NULL THEN
        greatest(0, floor(extract(epoch FROM m.read_at)) - floor(extract(epoch FROM m.occurred_at)))::int8
    END AS seconds_to_read,
    m.status,
    m.vcard,
    m.latitude,
    m.longitude,
    m.is_service,
    m.edited_at,
    m.revoked_at
FROM (
    SELECT
        messages.*,
        occurred_at AT TIME ZONE 'UTC' + (
            SELECT array_agg(make_interval(secs => offset_seconds) ORDER BY since) FROM time_zone_offsets
        )[width_bucket(occurred_at, (SELECT array_agg(since ORDER BY since) FROM time_zone_offsets))] AS local_time
    FROM messages
) AS m
LEFT JOIN chats AS c ON c.instance_id = m.instance_id AND c.chat_id = m.chat_id
LEFT JOIN messages AS quoted ON quoted.instance_id = m.instance_id AND quoted.id = m.quoted_message_id
LEFT JOIN media AS file ON file.instance_id = m.instance_id AND file.message_id = m.id AND file.source_sha256 = (
    SELECT best.source_sha256
    FROM media AS best
    WHERE m.media_url IS NOT NULL AND best.instance_id = m.instance_id AND best.message_id = m.id
    ORDER BY (best.state = 'stored') DESC, best.stored_at DESC, best.source_sha256
    LIMIT 1
);

CREATE VIEW v_chats AS
SELECT
    c.instance_id,
    c.chat_id,
    c.contact,
    coalesce(c.given_name, c.name) AS contact_name,
    c.kind,
    c.kind = 'group' AS is_group,
    c.message_count,
    (
        SELECT min(first.occurred_at)
        FROM messages AS first
        WHERE first.instance_id = c.instance_id AND first.chat_id = c.chat_id AND NOT first.is_service
    ) AS first_message_at,
    c.last_message_at,
    c.last_message_id,
    CASE WHEN last.from_me THEN 'outgoing' ELSE 'incoming' END AS last_direction,
    last.type AS last_type,
    last.body AS last_body,
    c.last_incoming_at,
    c.last_outgoing_at,
    c.waiting_since
FROM chats AS c
LEFT JOIN messages AS last ON last.instance_id = c.instance_id AND last.id = c.last_message_id
WHERE c.last_message_at IS NOT NULL;

-- The ids of each person with whom there is a conversation.
CREATE VIEW v_contact_ids AS
SELECT
    c.instance_id,
    c.chat_id,
    c.contact,
    coalesce(c.given_name, c.name) AS contact_name,
    c.chat_id AS id
FROM chats AS c
WHERE c.kind = 'person'
UNION ALL
SELECT
    c.instance_id,
    c.chat_id,
    c.contact,
    coalesce(c.given_name, c.name),
    a.alias
FROM chats AS c
JOIN chat_aliases AS a ON a.instance_id = c.instance_id AND a.chat_id = c.chat_id
WHERE a.alias <> a.chat_id;

CREATE VIEW v_unanswered AS
SELECT
    c.instance_id,
    c.chat_id,
    c.contact,
    coalesce(c.given_name, c.name) AS contact_name,
    c.kind,
    c.waiting_since,
    c.waiting_since AT TIME ZONE 'UTC' + (
        SELECT array_agg(make_interval(secs => offset_seconds) ORDER BY since) FROM time_zone_offsets
    )[width_bucket(c.waiting_since, (SELECT array_agg(since ORDER BY since) FROM time_zone_offsets))] AS local_time,
    greatest(0, floor(extract(epoch FROM now())) - floor(extract(epoch FROM c.waiting_since)))::int8 AS seconds_waiting,
    c.last_asked_at,
    greatest(0, floor(extract(epoch FROM now())) - floor(extract(epoch FROM c.last_asked_at)))::int8
        AS seconds_from_last,
    c.waiting_id AS message_id,
    first.type,
    first.body
FROM chats AS c
LEFT JOIN messages AS first ON first.instance_id = c.instance_id AND first.id = c.waiting_id
WHERE c.waiting_since IS NOT NULL;

CREATE VIEW v_response_times AS
SELECT
    r.instance_id,
    r.chat_id,
    c.contact,
    coalesce(c.given_name, c.name) AS contact_name,
    r.kind,
    r.waiting_since,
    r.answered_at,
    r.seconds,
    r.last_asked_at,
    r.seconds_from_last,
    r.incoming_id,
    r.outgoing_id,
    r.local_time,
    r.local_time::date AS local_day,
    extract(hour FROM r.local_time)::int4 AS local_hour,
    extract(isodow FROM r.local_time)::int4 AS local_weekday
FROM (
    SELECT
        responses.*,
        waiting_since AT TIME ZONE 'UTC' + (
            SELECT array_agg(make_interval(secs => offset_seconds) ORDER BY since) FROM time_zone_offsets
        )[width_bucket(waiting_since, (SELECT array_agg(since ORDER BY since) FROM time_zone_offsets))] AS local_time
    FROM responses
) AS r
LEFT JOIN chats AS c ON c.instance_id = r.instance_id AND c.chat_id = r.chat_id;

-- The same reactions as in v_current_reactions. Here a condition on the message reaches the index, wherever the condition
-- comes from.
CREATE VIEW v_reactions AS
SELECT
    r.instance_id,
    r.message_id,
    r.from_number,
    r.reaction,
    r.reacted_at,
    r.local_time,
    r.local_time::date AS local_day,
    m.chat_id,
    c.contact,
    coalesce(c.given_name, c.name) AS contact_name,
    m.kind,
    CASE WHEN m.from_me THEN 'outgoing' WHEN NOT m.from_me THEN 'incoming' END AS direction,
    m.type,
    m.body
FROM (
    SELECT
        message_reactions.*,
        reacted_at AT TIME ZONE 'UTC' + (
            SELECT array_agg(make_interval(secs => offset_seconds) ORDER BY since) FROM time_zone_offsets
        )[width_bucket(reacted_at, (SELECT array_agg(since ORDER BY since) FROM time_zone_offsets))] AS local_time
    FROM message_reactions
) AS r
LEFT JOIN messages AS m ON m.instance_id = r.instance_id AND m.id = r.message_id
LEFT JOIN chats AS c ON c.instance_id = m.instance_id AND c.chat_id = m.chat_id
WHERE r.reaction <> ''
    AND NOT EXISTS (
        SELECT 1
        FROM message_reactions AS later
        WHERE later.instance_id = r.instance_id AND later.message_id = r.message_id
            AND coalesce(
                (SELECT chat_id FROM chat_aliases WHERE instance_id = later.instance_id AND alias = later.from_number),
                later.from_number
            ) = coalesce(
                (SELECT chat_id FROM chat_aliases WHERE instance_id = r.instance_id AND alias = r.from_number),
                r.from_number
            )
            AND (later.reacted_at, later.last_received_at, later.reaction)
                > (r.reacted_at, r.last_received_at, r.reaction)
    );

CREATE VIEW v_media AS
SELECT
    f.instance_id,
    f.message_id,
    m.chat_id,
    c.contact,
    coalesce(c.given_name, c.name) AS contact_name,
    m.kind,
    CASE WHEN m.from_me THEN 'outgoing' ELSE 'incoming' END AS direction,
    coalesce(m.group_sender, m.from_id) AS author,
    m.type,
    m.body,
    f.occurred_at,
    f.local_time,
    f.local_time::date AS local_day,
    f.state AS media_state,
    f.reason,
    f.attempts,
    f.object_key AS media_key,
    f.content_type,
    f.size,
    f.file_name,
    f.stored_at,
    f.source_url
FROM (
    SELECT
        media.*,
        occurred_at AT TIME ZONE 'UTC' + (
            SELECT array_agg(make_interval(secs => offset_seconds) ORDER BY since) FROM time_zone_offsets
        )[width_bucket(occurred_at, (SELECT array_agg(since ORDER BY since) FROM time_zone_offsets))] AS local_time
    FROM media
) AS f
JOIN messages AS m ON m.instance_id = f.instance_id AND m.id = f.message_id
LEFT JOIN chats AS c ON c.instance_id = m.instance_id AND c.chat_id = m.chat_id;

-- The body is shown as text where its bytes are UTF-8, as table 3-7 of the Unicode standard defines it, without a NUL:
-- convert_from fails on anything else.
CREATE VIEW v_quarantine AS
SELECT
    concat(e.instance_id, '/', left(encode(e.body_sha256, 'hex'), 32)) AS event_id,
    e.instance_id,
    e.received_at,
    e.received_at AT TIME ZONE 'UTC' + (
        SELECT array_agg(make_interval(secs => offset_seconds) ORDER BY since) FROM time_zone_offsets
    )[width_bucket(e.received_at, (SELECT array_agg(since ORDER BY since) FROM time_zone_offsets))] AS local_time,
    e.reason,
    e.event_type,
    e.message_id,
    e.chat_id,
    e.signed,
    e.deliveries,
    CASE
        WHEN encode(e.body, 'hex') ~ concat(
            '^(?:0[1-9a-f]|[1-7].|c[2-9a-f][89ab].|d.[89ab].',
            '|e0[ab].[89ab].|e[1-9abcef][89ab].[89ab].|ed[89].[89ab].',
            '|f0[9ab].[89ab].[89ab].|f[123][89ab].[89ab].[89ab].|f48.[89ab].[89ab].)*$'
        ) THEN convert_from(e.body, 'UTF8')
    END AS body,
    encode(e.body, 'hex') AS body_hex
FROM events AS e
WHERE e.state <> 'applied' AND e.state = 'quarantined';

-- The local days from the first message's day to today: how long ago each was, and when it begins and ends.
CREATE VIEW v_days AS
SELECT
    day.local_day::date AS local_day,
    extract(isodow FROM day.local_day)::int4 AS local_weekday,
    span.today - day.local_day::date AS days_ago,
    (
        SELECT greatest(since, (day.local_day - make_interval(secs => offset_seconds)) AT TIME ZONE 'UTC')
        FROM time_zone_offsets
        WHERE first_day <= day.local_day
        ORDER BY since DESC
        LIMIT 1
    ) AS starts_at,
    (
        SELECT greatest(
            since, (day.local_day + interval '1 day' - make_interval(secs => offset_seconds)) AT TIME ZONE 'UTC'
        )
        FROM time_zone_offsets
        WHERE first_day <= day.local_day + interval '1 day'
        ORDER BY since DESC
        LIMIT 1
    ) AS ends_at
FROM (
    SELECT
        coalesce((SELECT min(occurred_at) FROM messages), now()) AS first,
        greatest((SELECT max(occurred_at) FROM messages), now()) AS last,
        (now() AT TIME ZONE 'UTC' + make_interval(secs => (
            SELECT offset_seconds FROM time_zone_offsets WHERE since <= now() ORDER BY since DESC LIMIT 1
        )))::date AS today
) AS span
CROSS JOIN LATERAL generate_series(
    date_trunc('day', first AT TIME ZONE 'UTC' + make_interval(secs => (
        SELECT offset_seconds FROM time_zone_offsets WHERE since <= first ORDER BY since DESC LIMIT 1
    ))),
    last AT TIME ZONE 'UTC' + make_interval(secs => (
        SELECT offset_seconds FROM time_zone_offsets WHERE since <= last ORDER BY since DESC LIMIT 1
    )),
    interval '1 day'
) AS day (local_day);

CREATE VIEW v_daily AS
SELECT
    counted.instance_id,
    d.local_day,
    d.local_weekday,
    counted.messages,
    counted.incoming,
    counted.outgoing,
    counted.chats,
    counted.pending,
    counted.sent,
    counted.failed,
    counted.delivered,
    counted.read,
    counted.played
FROM v_days AS d
CROSS JOIN LATERAL (
    SELECT
        instance_id,
        count(*) AS messages,
        count(*) FILTER (WHERE NOT from_me) AS incoming,
        count(*) FILTER (WHERE from_me) AS outgoing,
        count(DISTINCT chat_id) AS chats,
        count(*) FILTER (WHERE from_me AND ack_rank <= 1) AS pending,
        count(*) FILTER (WHERE from_me AND ack_rank = 2) AS sent,
        count(*) FILTER (WHERE from_me AND ack_rank = 3) AS failed,
        count(*) FILTER (WHERE from_me AND ack_rank = 4) AS delivered,
        count(*) FILTER (WHERE from_me AND ack_rank = 5) AS read,
        count(*) FILTER (WHERE from_me AND ack_rank = 6) AS played
    FROM messages
    WHERE occurred_at >= d.starts_at AND occurred_at < d.ends_at AND NOT is_service
        AND kind IN ('person', 'group')
    GROUP BY instance_id
) AS counted;

-- One row that says what "today" means, so that a query needs no function for the time, which each database spells
-- differently.
CREATE VIEW v_today AS
SELECT
    day.now,
    day.local_now,
    day.today,
    day.yesterday,
    day.week_start,
    day.month_start,
    today.starts_at AS today_starts_at,
    yesterday.starts_at AS yesterday_starts_at,
    week.starts_at AS week_starts_at,
    month.starts_at AS month_starts_at
FROM (
    SELECT
        now,
        local_now,
        local_now::date AS today,
        local_now::date - 1 AS yesterday,
        date_trunc('week', local_now)::date AS week_start,
        date_trunc('month', local_now)::date AS month_start
    FROM (
        SELECT
            date_trunc('milliseconds', now()) AS now,
            date_trunc('milliseconds', now() AT TIME ZONE 'UTC') + make_interval(secs => offset_seconds) AS local_now
        FROM time_zone_offsets
        WHERE since = (SELECT max(since) FROM time_zone_offsets WHERE since <= now())
    ) AS clock
) AS day
CROSS JOIN LATERAL (
    SELECT
        greatest(since, (day.today::timestamp - make_interval(secs => offset_seconds)) AT TIME ZONE 'UTC') AS starts_at
    FROM time_zone_offsets
    WHERE first_day <= day.today
    ORDER BY since DESC
    LIMIT 1
) AS today
CROSS JOIN LATERAL (
    SELECT
        greatest(since, (day.yesterday::timestamp - make_interval(secs => offset_seconds)) AT TIME ZONE 'UTC') AS starts_at
    FROM time_zone_offsets
    WHERE first_day <= day.yesterday
    ORDER BY since DESC
    LIMIT 1
) AS yesterday
CROSS JOIN LATERAL (
    SELECT
        greatest(since, (day.week_start::timestamp - make_interval(secs => offset_seconds)) AT TIME ZONE 'UTC') AS starts_at
    FROM time_zone_offsets
    WHERE first_day <= day.week_start
    ORDER BY since DESC
    LIMIT 1
) AS week
CROSS JOIN LATERAL (
    SELECT
        greatest(since, (day.month_start::timestamp - make_interval(secs => offset_seconds)) AT TIME ZONE 'UTC') AS starts_at
    FROM time_zone_offsets
    WHERE first_day <= day.month_start
    ORDER BY since DESC
    LIMIT 1
) AS month;

-- The words of each message, for people who search with SQL. The columns are the same on both databases.
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
