-- The schema of the SQLite database. The tables, columns and views are the same as in migrations/postgres/0001_schema.sql;
-- docs/schema.md says what each column means.

-- Tables.

-- One row: the number of the latest event. A batch begins by taking its numbers here and holds the row until its
-- commit. So there is one writing transaction at a time, and no event ever appears below a visible seq.
CREATE TABLE ledger_clock (
    id  INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO ledger_clock (id, seq) VALUES (1, 0);

CREATE TABLE events (
    seq              INTEGER PRIMARY KEY,
    instance_id      TEXT    NOT NULL,
    event_type       TEXT,
    message_id       TEXT,
    chat_id          TEXT,
    body             BLOB,
    body_sha256      BLOB    NOT NULL,
    received_at      TEXT    NOT NULL,
    deliveries       INTEGER NOT NULL,
    last_received_at TEXT    NOT NULL,
    signed           INTEGER NOT NULL,
    forwarded        INTEGER NOT NULL DEFAULT 0,
    state            TEXT    NOT NULL,
    reason           TEXT,
    file_bytes       INTEGER,
    quoted_message_id TEXT,
    UNIQUE (instance_id, body_sha256)
) STRICT;

CREATE TABLE messages (
    instance_id       TEXT    NOT NULL,
    id                TEXT    NOT NULL,
    chat_id           TEXT,
    stated_chat_id    TEXT,
    from_id           TEXT,
    to_id             TEXT,
    from_me           INTEGER NOT NULL,
    sender_name       TEXT,
    body              TEXT,
    type              TEXT,
    sent_at           TEXT,
    kind              TEXT    NOT NULL,
    is_group          INTEGER NOT NULL,
    quoted_message_id TEXT,
    reaction          TEXT,
    media_url         TEXT,
    file_name         TEXT,
    latitude          REAL,
    longitude         REAL,
    vcard             TEXT,
    status            TEXT,
    ack               TEXT    NOT NULL,
    ack_rank          INTEGER NOT NULL,
    group_sender      TEXT,
    received_at       TEXT    NOT NULL,
    occurred_at       TEXT    NOT NULL,
    seq               INTEGER NOT NULL,
    event_seq         INTEGER NOT NULL,
    last_sent_at      TEXT,
    is_service        INTEGER NOT NULL DEFAULT 0,
    edited_at         TEXT,
    edited_sent_at    TEXT,
    revoked_at        TEXT,
    revoked_sent_at   TEXT,
    revoked_seq       INTEGER,
    delivered_at      TEXT,
    read_at           TEXT,
    PRIMARY KEY (instance_id, id)
) STRICT;

-- The evidence that two ids are those of one person. It only grows: a row has the lowest number of an event that gives it.
CREATE TABLE chat_links (
    instance_id TEXT    NOT NULL,
    a           TEXT    NOT NULL,
    b           TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    PRIMARY KEY (instance_id, a, b, source)
) STRICT, WITHOUT ROWID;

-- The last word of the owner about two ids, a being the lesser one.
CREATE TABLE chat_links_owner (
    instance_id TEXT    NOT NULL,
    a           TEXT    NOT NULL,
    b           TEXT    NOT NULL,
    linked      INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    PRIMARY KEY (instance_id, a, b)
) STRICT, WITHOUT ROWID;

-- The last name that the owner gave each chat. NULL if it was taken back.
CREATE TABLE chat_names (
    instance_id TEXT    NOT NULL,
    chat_id     TEXT    NOT NULL,
    name        TEXT,
    seq         INTEGER NOT NULL,
    PRIMARY KEY (instance_id, chat_id)
) STRICT, WITHOUT ROWID;

-- The ids of persons whose conversations have another id. This follows from the two tables above. An id that was an alias
-- and is none any more has itself for its chat.
CREATE TABLE chat_aliases (
    instance_id TEXT    NOT NULL,
    alias       TEXT    NOT NULL,
    chat_id     TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    PRIMARY KEY (instance_id, alias)
) STRICT, WITHOUT ROWID;

-- The aliases whose messages are still on their way to their chats, from the newest to the oldest.
CREATE TABLE chat_moves (
    instance_id TEXT    NOT NULL,
    alias       TEXT    NOT NULL,
    chat_id     TEXT    NOT NULL,
    reached_at  TEXT,
    reached_seq INTEGER,
    PRIMARY KEY (instance_id, alias)
) STRICT, WITHOUT ROWID;

CREATE TABLE message_acks (
    instance_id      TEXT    NOT NULL,
    message_id       TEXT    NOT NULL,
    ack              TEXT    NOT NULL,
    ack_rank         INTEGER NOT NULL,
    received_at      TEXT    NOT NULL,
    last_received_at TEXT    NOT NULL,
    PRIMARY KEY (instance_id, message_id, ack)
) STRICT, WITHOUT ROWID;

CREATE TABLE message_reactions (
    instance_id      TEXT NOT NULL,
    message_id       TEXT NOT NULL,
    from_number      TEXT NOT NULL,
    reaction         TEXT NOT NULL,
    reacted_at       TEXT NOT NULL,
    received_at      TEXT NOT NULL,
    last_received_at TEXT NOT NULL,
    PRIMARY KEY (instance_id, message_id, from_number, reaction, reacted_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE chats (
    instance_id       TEXT    NOT NULL,
    chat_id           TEXT    NOT NULL,
    name              TEXT,
    given_name        TEXT,
    name_at           TEXT,
    name_message_id   TEXT,
    name_seq          INTEGER,
    message_count     INTEGER NOT NULL,
    service_count     INTEGER NOT NULL DEFAULT 0,
    last_message_at   TEXT   ,
    last_message_id   TEXT   ,
    last_incoming_at  TEXT,
    last_incoming_id  TEXT,
    last_incoming_seq INTEGER,
    last_outgoing_at  TEXT,
    last_outgoing_id  TEXT,
    last_outgoing_seq INTEGER,
    contact           TEXT,
    kind              TEXT    NOT NULL,
    search            TEXT    NOT NULL DEFAULT '',
    waiting_since     TEXT,
    waiting_id        TEXT,
    waiting_seq       INTEGER,
    last_asked_at     TEXT,
    PRIMARY KEY (instance_id, chat_id)
) STRICT, WITHOUT ROWID;

-- One row for each time that somebody waited for an answer and got it.
CREATE TABLE responses (
    instance_id       TEXT    NOT NULL,
    chat_id           TEXT    NOT NULL,
    kind              TEXT    NOT NULL,
    waiting_since     TEXT    NOT NULL,
    incoming_id       TEXT    NOT NULL,
    last_asked_at     TEXT    NOT NULL,
    answered_at       TEXT    NOT NULL,
    outgoing_id       TEXT    NOT NULL,
    seconds           INTEGER NOT NULL,
    seconds_from_last INTEGER NOT NULL,
    PRIMARY KEY (instance_id, chat_id, waiting_since)
) STRICT, WITHOUT ROWID;

-- The words of the messages, without case and accents. The upper bits of search_key hold the message's time, so
-- that matches come in the order of time. Messages arrive in that order, too: a batch changes few pages of the table and
-- of its index, however many messages there are. A unique index of (instance_id, id) would take that advantage away.
CREATE TABLE message_search (
    search_key  INTEGER PRIMARY KEY,
    instance_id TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    occurred_at TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    words       TEXT    NOT NULL,
    facets      TEXT    NOT NULL
) STRICT;
CREATE VIRTUAL TABLE message_words USING fts5 (
    words, facets, content = 'message_search', content_rowid = 'search_key', tokenize = 'ascii', columnsize = 0
);

-- The jobs of the media worker, one for each file of a message.
CREATE TABLE media (
    instance_id     TEXT    NOT NULL,
    message_id      TEXT    NOT NULL,
    chat_id         TEXT,
    kind            TEXT,
    source_sha256   BLOB    NOT NULL,
    source_url      TEXT    NOT NULL,
    source_host     TEXT    NOT NULL,
    occurred_at     TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    reason          TEXT,
    attempts        INTEGER NOT NULL,
    denials         INTEGER NOT NULL,
    next_attempt_at TEXT    NOT NULL,
    lease_until     TEXT,
    lease_token     INTEGER NOT NULL,
    object_key      TEXT,
    size            INTEGER,
    content_type    TEXT,
    file_name       TEXT,
    stored_at       TEXT,
    settled_seq     INTEGER,
    PRIMARY KEY (instance_id, message_id, source_sha256)
) STRICT;

-- Objects that a process is about to delete or to put again. No other process may do either meanwhile.
CREATE TABLE media_object_locks (
    object_key   TEXT PRIMARY KEY,
    locked_until TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row. database_id names this database in the marker of a media store, so that the objects of another database are
-- never swept. Each restore renews epoch, because the numbers after those of the backup are assigned again. time_zone is
-- the zone in which people read days and hours.
CREATE TABLE installation (
    id          INTEGER PRIMARY KEY,
    database_id TEXT    NOT NULL,
    epoch       TEXT    NOT NULL,
    time_zone   TEXT    NOT NULL DEFAULT 'UTC'
) STRICT;
INSERT INTO installation (id, database_id, epoch) VALUES (1, lower(hex(randomblob(16))), lower(hex(randomblob(16))));

-- The offsets of that zone. They are written from the program's own data, so that both databases, and every version of
-- them, give the same local times.
CREATE TABLE time_zone_offsets (
    since          TEXT PRIMARY KEY,
    offset_seconds INTEGER NOT NULL,
    first_day      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO time_zone_offsets (since, offset_seconds, first_day) VALUES ('1970-01-01T00:00:00.000Z', 0, '1970-01-01');

-- The tokens that may read the API. A token itself is not stored, only its SHA-256.
CREATE TABLE api_tokens (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL,
    prefix       TEXT    NOT NULL,
    sha256       BLOB    NOT NULL,
    instances    TEXT,
    created_at   TEXT    NOT NULL,
    expires_at   TEXT,
    revoked_at   TEXT,
    last_used_at TEXT,
    can_export   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The sessions of browsers. A session's secret is not stored, only its HMAC under a key that is in no database. Copies of the
-- database have no sessions.
CREATE TABLE sessions (
    id           INTEGER PRIMARY KEY,
    hmac         BLOB    NOT NULL,
    code_hmac    BLOB,
    token_id     INTEGER,
    token_sha256 BLOB    NOT NULL,
    device       TEXT    NOT NULL,
    created_at   TEXT    NOT NULL,
    used_at      TEXT    NOT NULL,
    expires_at   TEXT    NOT NULL,
    ended_at     TEXT
) STRICT;

-- The exports and erasures: who did what, and when. Persons are named by pseudonyms alone.
CREATE TABLE audit (
    seq          INTEGER PRIMARY KEY,
    at           TEXT    NOT NULL,
    actor        TEXT    NOT NULL,
    action       TEXT    NOT NULL,
    subject_hmac TEXT,
    detail       TEXT
) STRICT;

-- The secret keys of pseudonyms, one for each purpose.
CREATE TABLE pseudonym_keys (
    purpose TEXT PRIMARY KEY,
    secret  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO pseudonym_keys (purpose, secret) VALUES ('audit', randomblob(32));

-- The forwards, each with its place in the ledger: every event up to position has ended, and of the later ones those in
-- finished, a JSON array. A process works on a forward while it holds the lease. A command that changes more than the
-- pause raises the revision, by which that process learns of it.
CREATE TABLE forwards (
    name             TEXT    PRIMARY KEY,
    position         INTEGER NOT NULL,
    finished         TEXT    NOT NULL DEFAULT '[]',
    paused           INTEGER NOT NULL DEFAULT 0,
    pause_reason     TEXT,
    revision         INTEGER NOT NULL DEFAULT 0,
    lease_until      TEXT,
    lease_token      INTEGER NOT NULL DEFAULT 0,
    replay_position  INTEGER,
    replay_until     INTEGER,
    replay_finished  TEXT    NOT NULL DEFAULT '[]',
    replay_even_old  INTEGER NOT NULL DEFAULT 0,
    stopped_since    TEXT,
    stopped_reason   TEXT,
    delivered        INTEGER NOT NULL DEFAULT 0,
    skipped_stale    INTEGER NOT NULL DEFAULT 0,
    given_up         INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The events that a forward could not send: those that are tried again, and those that were given up.
CREATE TABLE forward_failures (
    forward          TEXT    NOT NULL,
    seq              INTEGER NOT NULL,
    state            TEXT    NOT NULL,
    attempts         INTEGER NOT NULL,
    timeouts         INTEGER NOT NULL,
    refusals         INTEGER NOT NULL,
    replay           INTEGER NOT NULL,
    even_old         INTEGER NOT NULL,
    last_failed_at   TEXT    NOT NULL,
    next_attempt_at  TEXT    NOT NULL,
    class            TEXT    NOT NULL,
    status           INTEGER,
    error            TEXT    NOT NULL,
    PRIMARY KEY (forward, seq)
) STRICT, WITHOUT ROWID;

-- The persons that were erased. What is left of them are marks, which are keyed hashes: of the persons, of their messages and of
-- their events, by which what comes again is recognised. A mark of a person has the time of the erasure.
CREATE TABLE erasures (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    instance_id TEXT,
    begun_at    TEXT NOT NULL,
    stage       TEXT NOT NULL,
    reached_seq INTEGER NOT NULL,
    until_seq   INTEGER NOT NULL,
    events      INTEGER NOT NULL DEFAULT 0,
    messages    INTEGER NOT NULL DEFAULT 0,
    files       INTEGER NOT NULL DEFAULT 0,
    forwards    TEXT NOT NULL DEFAULT '',
    removed_at  TEXT,
    scrubbed_at TEXT
) STRICT;
CREATE TABLE erasure_keys (
    id         TEXT PRIMARY KEY,
    key        BLOB NOT NULL,
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE erasure_marks (
    mark       BLOB PRIMARY KEY,
    erasure_id INTEGER NOT NULL,
    until      TEXT
) STRICT, WITHOUT ROWID;

-- The ids of a person while an erasure goes through the ledger.
CREATE TABLE erasure_ids (
    erasure_id INTEGER NOT NULL,
    id         TEXT NOT NULL,
    PRIMARY KEY (erasure_id, id)
) STRICT, WITHOUT ROWID;

-- Objects that are to be removed from the media store unless a file still refers to them.
CREATE TABLE media_removals (
    object_key TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- The runs that let go of what is older than what is kept.
CREATE TABLE retention_runs (
    id       INTEGER PRIMARY KEY,
    begun_at TEXT NOT NULL,
    ended_at TEXT,
    events   INTEGER NOT NULL DEFAULT 0,
    files    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Indexes.
--
-- Each index serves a way to ask. Every event pays for each index that takes its rows, so those on a word leave out the
-- words that most rows have: a list by such a word finds enough rows by time. Those on the sender and the recipient leave
-- out the messages between a person and us, which a list finds in the person's chat. Conditions say IS NOT where
-- PostgreSQL's say IS DISTINCT FROM: any program that opens the file parses the whole schema, IS DISTINCT FROM came with
-- SQLite 3.39, and Ubuntu 22.04 has 3.37.

CREATE INDEX events_message ON events (instance_id, message_id);
CREATE INDEX events_instance ON events (instance_id, seq);
CREATE INDEX events_not_applied ON events (instance_id, state, seq) WHERE state <> 'applied';

CREATE INDEX messages_outgoing ON messages (id) WHERE from_me;
CREATE INDEX messages_chat ON messages (instance_id, chat_id, occurred_at, seq, from_me, type, received_at, is_service);
CREATE INDEX messages_occurred ON messages (instance_id, occurred_at, seq, from_me, type, kind, is_service);
CREATE INDEX messages_answers ON messages (instance_id, chat_id, occurred_at, seq) WHERE from_me AND NOT is_service;
CREATE INDEX messages_received ON messages (instance_id, received_at, seq);
CREATE INDEX messages_direction ON messages (instance_id, from_me, kind, occurred_at, seq);
CREATE INDEX messages_quoted ON messages (instance_id, quoted_message_id, occurred_at, seq)
    WHERE quoted_message_id IS NOT NULL;
CREATE INDEX messages_media ON messages (instance_id, occurred_at, seq, from_me, kind) WHERE media_url IS NOT NULL;
CREATE INDEX messages_delivery ON messages (instance_id, occurred_at, kind, ack_rank, delivered_at, read_at, from_me, is_service)
    WHERE from_me AND NOT is_service;
-- The messages of a day or of the last hours, whatever the instance.
CREATE INDEX messages_time ON messages (occurred_at);
-- The messages that were edited or deleted are few.
CREATE INDEX messages_edited ON messages (edited_at) WHERE edited_at IS NOT NULL;
CREATE INDEX messages_revoked ON messages (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX messages_type ON messages (instance_id, type, occurred_at, seq, from_me, kind) WHERE type <> 'text';
CREATE INDEX messages_status ON messages (instance_id, status, occurred_at, seq)
    WHERE status NOT IN ('received', 'sent');
CREATE INDEX messages_ack ON messages (instance_id, from_me, kind, ack, occurred_at, seq, type)
    WHERE (from_me OR ack <> 'pending');
CREATE INDEX messages_from ON messages (instance_id, from_id, occurred_at, seq, type) WHERE from_id IS NOT chat_id;
CREATE INDEX messages_to ON messages (instance_id, to_id, occurred_at, seq, type) WHERE to_id IS NOT chat_id;
-- A person in groups. In their own chats, the author is who a message is from.
CREATE INDEX messages_author ON messages (instance_id, group_sender, occurred_at, seq, type)
    WHERE group_sender IS NOT NULL;

CREATE INDEX messages_stated ON messages (instance_id, stated_chat_id, occurred_at, seq)
    WHERE stated_chat_id IS NOT NULL;

-- A message of which a copy names another chat is looked up by those that quote it.
CREATE INDEX events_quoted ON events (instance_id, quoted_message_id) WHERE quoted_message_id IS NOT NULL;
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

CREATE INDEX chats_latest ON chats (instance_id, kind, last_message_at, chat_id);
CREATE INDEX chats_waiting ON chats (instance_id, waiting_since, chat_id, last_asked_at)
    WHERE waiting_since IS NOT NULL;
-- A person by their number, in one instance and in all of them.
CREATE INDEX chats_contact ON chats (instance_id, contact) WHERE contact IS NOT NULL;
CREATE INDEX chats_person ON chats (contact) WHERE contact IS NOT NULL;
CREATE INDEX responses_waiting ON responses (instance_id, waiting_since, kind, seconds, seconds_from_last);
-- The answers whose wait can be counted from the last question.
CREATE INDEX responses_asked_last ON responses (instance_id, last_asked_at, kind, seconds, seconds_from_last)
    WHERE seconds_from_last < seconds;

CREATE INDEX media_due ON media (next_attempt_at) WHERE state = 'pending';
CREATE INDEX media_leased ON media (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX media_occurred ON media (occurred_at, state);
CREATE INDEX media_objects ON media (object_key, size) WHERE object_key IS NOT NULL;
-- The feed walks over the files whose jobs have ended, either all of them or those of an instance.
CREATE INDEX media_settled ON media (settled_seq) WHERE settled_seq IS NOT NULL;
CREATE INDEX media_settled_of ON media (instance_id, settled_seq) WHERE settled_seq IS NOT NULL;
CREATE INDEX media_listed ON media (instance_id, occurred_at, message_id, source_sha256, content_type, size, kind);
CREATE INDEX media_listed_by_type
    ON media (instance_id, substr(content_type, 1, 5), occurred_at, message_id, source_sha256, content_type);
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
    date(m.local_time) AS local_day,
    CAST(strftime('%H', m.local_time) AS INTEGER) AS local_hour,
    (strftime('%w', m.local_time) + 6) % 7 + 1 AS local_weekday,
    m.type,
    m.body,
    m.quoted_message_id,
    quoted.body AS quoted_body,
    (
        SELECT group_concat(ordered.reaction, ' ')
        FROM (
            SELECT r.reaction
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
                        AND (+later.reacted_at, later.last_received_at, later.reaction)
                            > (r.reacted_at, r.last_received_at, r.reaction)
                )
            ORDER BY r.reacted_at, r.from_number
        ) AS ordered
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
        max(0, strftime('%s', m.delivered_at) - strftime('%s', m.occurred_at))
    END AS seconds_to_delivered,
    CASE WHEN m.from_me AND m.read_at IS NOT NULL THEN
        max(0, strftime('%s', m.read_at) - strftime('%s', m.occurred_at))
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
        strftime('%Y-%m-%dT%H:%M:%f', occurred_at, (
            SELECT offset_seconds FROM time_zone_offsets WHERE since <= occurred_at ORDER BY since DESC LIMIT 1
        ) || ' seconds') AS local_time
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
    strftime('%Y-%m-%dT%H:%M:%f', c.waiting_since, (
        SELECT offset_seconds FROM time_zone_offsets WHERE since <= c.waiting_since ORDER BY since DESC LIMIT 1
    ) || ' seconds') AS local_time,
    max(0, strftime('%s', 'now') - strftime('%s', c.waiting_since)) AS seconds_waiting,
    c.last_asked_at,
    max(0, strftime('%s', 'now') - strftime('%s', c.last_asked_at)) AS seconds_from_last,
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
    date(r.local_time) AS local_day,
    CAST(strftime('%H', r.local_time) AS INTEGER) AS local_hour,
    (strftime('%w', r.local_time) + 6) % 7 + 1 AS local_weekday
FROM (
    SELECT
        responses.*,
        strftime('%Y-%m-%dT%H:%M:%f', waiting_since, (
            SELECT offset_seconds FROM time_zone_offsets WHERE since <= waiting_since ORDER BY since DESC LIMIT 1
        ) || ' seconds') AS local_time
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
    date(r.local_time) AS local_day,
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
        strftime('%Y-%m-%dT%H:%M:%f', reacted_at, (
            SELECT offset_seconds FROM time_zone_offsets WHERE since <= reacted_at ORDER BY since DESC LIMIT 1
        ) || ' seconds') AS local_time
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
            AND (+later.reacted_at, later.last_received_at, later.reaction)
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
    date(f.local_time) AS local_day,
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
        strftime('%Y-%m-%dT%H:%M:%f', occurred_at, (
            SELECT offset_seconds FROM time_zone_offsets WHERE since <= occurred_at ORDER BY since DESC LIMIT 1
        ) || ' seconds') AS local_time
    FROM media
) AS f
JOIN messages AS m ON m.instance_id = f.instance_id AND m.id = f.message_id
LEFT JOIN chats AS c ON c.instance_id = m.instance_id AND c.chat_id = m.chat_id;

-- The body is shown as text where its bytes are UTF-8, as table 3-7 of the Unicode standard defines it, without a NUL.
-- SQLite would return any bytes as text, and client programs fail on invalid ones. The recursion walks from one character
-- to the next, or over 64 ASCII characters at once; where no valid character stands, it ends with NULL. It takes the body
-- in pieces of 2,048 bytes and 3 of the next, because SQLite loads a whole value to look at one place in it.
CREATE VIEW v_quarantine AS
SELECT
    e.instance_id || '/' || lower(substr(hex(e.body_sha256), 1, 32)) AS event_id,
    e.instance_id,
    e.received_at,
    strftime('%Y-%m-%dT%H:%M:%f', e.received_at, (
        SELECT offset_seconds FROM time_zone_offsets WHERE since <= e.received_at ORDER BY since DESC LIMIT 1
    ) || ' seconds') AS local_time,
    e.reason,
    e.event_type,
    e.message_id,
    e.chat_id,
    e.signed,
    e.deliveries,
    CASE
        WHEN instr(e.body, x'00') = 0 AND NOT EXISTS (
            WITH RECURSIVE walk (start, piece, at) AS (
                SELECT 1, substr(e.body, 1, 2051), 1
                UNION ALL
                SELECT
                    CASE WHEN at > 2048 THEN start + at - 1 ELSE start END,
                    CASE WHEN at > 2048 THEN substr(e.body, start + at - 1, 2051) ELSE piece END,
                    CASE
                        WHEN at > 2048 THEN 1
                        WHEN CAST(substr(piece, at, 64) AS TEXT) NOT GLOB '*[^' || char(1) || '-' || char(127) || ']*'
                            THEN at + length(substr(piece, at, 64))
                        ELSE (
                            SELECT
                                CASE
                                    WHEN four GLOB '[0-7]*' THEN at + 1
                                    WHEN four GLOB 'C[2-9A-F][89AB]*' OR four GLOB 'D?[89AB]*' THEN at + 2
                                    WHEN four GLOB 'E0[AB]?[89AB]*' OR four GLOB 'E[1-9ABCEF][89AB]?[89AB]*'
                                        OR four GLOB 'ED[89]?[89AB]*' THEN at + 3
                                    WHEN four GLOB 'F0[9AB]?[89AB]?[89AB]?' OR four GLOB 'F[123][89AB]?[89AB]?[89AB]?'
                                        OR four GLOB 'F48?[89AB]?[89AB]?' THEN at + 4
                                END
                            FROM (SELECT hex(substr(piece, at, 4)) AS four) AS next
                        )
                    END
                FROM walk
                WHERE at > 2048 OR at <= length(piece)
            )
            SELECT 1 FROM walk WHERE at IS NULL
        ) THEN CAST(e.body AS TEXT)
    END AS body,
    CASE WHEN e.body IS NOT NULL THEN lower(hex(e.body)) END AS body_hex
FROM events AS e
WHERE e.state <> 'applied' AND e.state = 'quarantined';

-- The local days from the first message's day to today: how long ago each was, and when it begins and ends.
CREATE VIEW v_days AS
WITH RECURSIVE
    span (first, last, now) AS (
        SELECT
            coalesce((SELECT min(occurred_at) FROM messages), now),
            max(coalesce((SELECT max(occurred_at) FROM messages), now), now),
            now
        FROM (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS now) AS clock
    ),
    day (local_day, last_day, today) AS (
        SELECT
            date(first, (
                SELECT offset_seconds FROM time_zone_offsets WHERE since <= first ORDER BY since DESC LIMIT 1
            ) || ' seconds'),
            date(last, (
                SELECT offset_seconds FROM time_zone_offsets WHERE since <= last ORDER BY since DESC LIMIT 1
            ) || ' seconds'),
            date(now, (
                SELECT offset_seconds FROM time_zone_offsets WHERE since <= now ORDER BY since DESC LIMIT 1
            ) || ' seconds')
        FROM span
        UNION ALL
        SELECT date(local_day, '+1 day'), last_day, today FROM day WHERE local_day < last_day
    )
SELECT
    day.local_day,
    (strftime('%w', day.local_day) + 6) % 7 + 1 AS local_weekday,
    CAST(julianday(day.today) - julianday(day.local_day) AS INTEGER) AS days_ago,
    (
        SELECT max(since, strftime('%Y-%m-%dT%H:%M:%fZ', day.local_day, -offset_seconds || ' seconds'))
        FROM time_zone_offsets
        WHERE first_day <= day.local_day
        ORDER BY since DESC
        LIMIT 1
    ) AS starts_at,
    (
        SELECT max(since, strftime('%Y-%m-%dT%H:%M:%fZ', day.local_day, '+1 day', -offset_seconds || ' seconds'))
        FROM time_zone_offsets
        WHERE first_day <= date(day.local_day, '+1 day')
        ORDER BY since DESC
        LIMIT 1
    ) AS ends_at
FROM day;

-- SQLite does not reorder a CROSS JOIN: the days come first, and each finds its messages by the index.
CREATE VIEW v_daily AS
SELECT
    m.instance_id,
    d.local_day,
    d.local_weekday,
    count(*) AS messages,
    count(*) FILTER (WHERE NOT m.from_me) AS incoming,
    count(*) FILTER (WHERE m.from_me) AS outgoing,
    count(DISTINCT m.chat_id) AS chats,
    count(*) FILTER (WHERE m.from_me AND m.ack_rank <= 1) AS pending,
    count(*) FILTER (WHERE m.from_me AND m.ack_rank = 2) AS sent,
    count(*) FILTER (WHERE m.from_me AND m.ack_rank = 3) AS failed,
    count(*) FILTER (WHERE m.from_me AND m.ack_rank = 4) AS delivered,
    count(*) FILTER (WHERE m.from_me AND m.ack_rank = 5) AS read,
    count(*) FILTER (WHERE m.from_me AND m.ack_rank = 6) AS played
FROM v_days AS d
CROSS JOIN messages AS m
WHERE m.occurred_at >= d.starts_at AND m.occurred_at < d.ends_at AND NOT m.is_service
    AND m.kind IN ('person', 'group')
GROUP BY m.instance_id, d.local_day;

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
    (
        SELECT max(since, strftime('%Y-%m-%dT%H:%M:%fZ', day.today, -offset_seconds || ' seconds'))
        FROM time_zone_offsets
        WHERE first_day <= day.today
        ORDER BY since DESC
        LIMIT 1
    ) AS today_starts_at,
    (
        SELECT max(since, strftime('%Y-%m-%dT%H:%M:%fZ', day.yesterday, -offset_seconds || ' seconds'))
        FROM time_zone_offsets
        WHERE first_day <= day.yesterday
        ORDER BY since DESC
        LIMIT 1
    ) AS yesterday_starts_at,
    (
        SELECT max(since, strftime('%Y-%m-%dT%H:%M:%fZ', day.week_start, -offset_seconds || ' seconds'))
        FROM time_zone_offsets
        WHERE first_day <= day.week_start
        ORDER BY since DESC
        LIMIT 1
    ) AS week_starts_at,
    (
        SELECT max(since, strftime('%Y-%m-%dT%H:%M:%fZ', day.month_start, -offset_seconds || ' seconds'))
        FROM time_zone_offsets
        WHERE first_day <= day.month_start
        ORDER BY since DESC
        LIMIT 1
    ) AS month_starts_at
FROM (
    SELECT
        now,
        local_now,
        date(local_now) AS today,
        date(local_now, '-1 day') AS yesterday,
        date(local_now, 'weekday 0', '-6 days') AS week_start,
        date(local_now, 'start of month') AS month_start
    FROM (
        SELECT now, strftime('%Y-%m-%dT%H:%M:%f', now, offset_seconds || ' seconds') AS local_now
        FROM (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS now) AS clock
        JOIN time_zone_offsets ON since = (SELECT max(since) FROM time_zone_offsets WHERE since <= now)
    ) AS clock
) AS day;

-- The words of each message, for people who search with SQL. The columns are the same on both databases.
CREATE VIEW v_words AS
SELECT instance_id, id, occurred_at, words
FROM message_search;
