-- The views that people build on, and the time zone for their days and hours. The same names and columns as in
-- migrations/postgres/0005_views.sql; docs/sql.md says what each column means.
--
-- A join here finds one row at most, by a key, so that a query which asks for none of its columns does without it.

-- In which zone people read days and hours. Its offsets are written from the program's own data, so that both databases
-- and every version of them give the same local times.
ALTER TABLE installation ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'UTC';
CREATE TABLE time_zone_offsets (
    since          TEXT PRIMARY KEY,
    offset_seconds INTEGER NOT NULL,
    first_day      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO time_zone_offsets (since, offset_seconds, first_day) VALUES ('1970-01-01T00:00:00.000Z', 0, '1970-01-01');

-- What was said lately, or on a day, whatever the instance; and a person by their number.
CREATE INDEX messages_time ON messages (occurred_at);
CREATE INDEX chats_person ON chats (contact) WHERE contact IS NOT NULL;

CREATE VIEW v_messages AS
SELECT
    m.instance_id,
    m.id,
    m.chat_id,
    c.contact,
    c.name AS contact_name,
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
                        AND later.from_number = r.from_number
                        AND (+later.reacted_at, later.reaction) > (r.reacted_at, r.reaction)
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
    m.longitude
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
    c.name AS contact_name,
    c.is_group,
    c.message_count,
    (
        SELECT min(first.occurred_at)
        FROM messages AS first
        WHERE first.instance_id = c.instance_id AND first.chat_id = c.chat_id
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
LEFT JOIN messages AS last ON last.instance_id = c.instance_id AND last.id = c.last_message_id;

CREATE VIEW v_unanswered AS
SELECT
    c.instance_id,
    c.chat_id,
    c.contact,
    c.name AS contact_name,
    c.waiting_since,
    strftime('%Y-%m-%dT%H:%M:%f', c.waiting_since, (
        SELECT offset_seconds FROM time_zone_offsets WHERE since <= c.waiting_since ORDER BY since DESC LIMIT 1
    ) || ' seconds') AS local_time,
    max(0, strftime('%s', 'now') - strftime('%s', c.waiting_since)) AS seconds_waiting,
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
    c.name AS contact_name,
    r.waiting_since,
    r.answered_at,
    r.seconds,
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

-- As v_current_reactions, but a condition on the message reaches the index wherever it comes from.
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
    c.name AS contact_name,
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
            AND later.from_number = r.from_number
            AND (+later.reacted_at, later.reaction) > (r.reacted_at, r.reaction)
    );

CREATE VIEW v_media AS
SELECT
    f.instance_id,
    f.message_id,
    m.chat_id,
    c.contact,
    c.name AS contact_name,
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

-- A body is text where its bytes are UTF-8, as the Unicode standard's table 3-7 has it, without a NUL. SQLite would give
-- any bytes as text, and programs that read it fail on those. The walk goes from one character to the next, or over 64
-- ASCII ones at once; where no character stands, it ends with NULL. It takes the body in pieces of 2,048 bytes and 3 of
-- the next, because to look at one place SQLite loads all of a value.
CREATE VIEW v_quarantine AS
SELECT
    e.seq,
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

-- The local days from the first message's to today, how long ago each is, and when it begins and ends.
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

-- CROSS JOIN, so that the days come first and each finds its messages by the index.
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
WHERE m.occurred_at >= d.starts_at AND m.occurred_at < d.ends_at
GROUP BY m.instance_id, d.local_day;

-- One row: what "today" means, so that no query needs a database's own way to ask for the time.
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
