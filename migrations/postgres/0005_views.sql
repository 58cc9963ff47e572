-- The views that people build on, and the time zone for their days and hours. The same names and columns as in
-- migrations/sqlite/0005_views.sql; docs/sql.md says what each column means.
--
-- A join here finds one row at most, by a key, so that a query which asks for none of its columns does without it.

-- In which zone people read days and hours. Its offsets are written from the program's own data, so that both databases
-- and every version of them give the same local times.
ALTER TABLE installation ADD COLUMN time_zone TEXT COLLATE "C" NOT NULL DEFAULT 'UTC';
CREATE TABLE time_zone_offsets (
    since          TIMESTAMPTZ PRIMARY KEY,
    offset_seconds INT4        NOT NULL,
    first_day      DATE        NOT NULL
);
INSERT INTO time_zone_offsets (since, offset_seconds, first_day) VALUES ('1970-01-01T00:00:00Z', 0, '1970-01-01');

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
                    AND later.from_number = r.from_number
                    AND (later.reacted_at, later.reaction) > (r.reacted_at, r.reaction)
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
    m.longitude
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
    c.waiting_since AT TIME ZONE 'UTC' + (
        SELECT array_agg(make_interval(secs => offset_seconds) ORDER BY since) FROM time_zone_offsets
    )[width_bucket(c.waiting_since, (SELECT array_agg(since ORDER BY since) FROM time_zone_offsets))] AS local_time,
    greatest(0, floor(extract(epoch FROM now())) - floor(extract(epoch FROM c.waiting_since)))::int8 AS seconds_waiting,
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

-- As v_current_reactions, but a condition on the message reaches the index wherever it comes from.
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
    c.name AS contact_name,
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
            AND later.from_number = r.from_number
            AND (later.reacted_at, later.reaction) > (r.reacted_at, r.reaction)
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

-- A body is text where its bytes are UTF-8, as the Unicode standard's table 3-7 has it, without a NUL: convert_from
-- fails on any other.
CREATE VIEW v_quarantine AS
SELECT
    e.seq,
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

-- The local days from the first message's to today, and when each begins and ends.
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
    WHERE occurred_at >= d.starts_at AND occurred_at < d.ends_at
    GROUP BY instance_id
) AS counted;

-- One row: what "today" means, so that no query needs a database's own way to ask for the time.
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
