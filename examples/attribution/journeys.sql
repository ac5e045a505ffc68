-- Customer journeys: the sessions of a user up to each conversion, in order. The last one holds the conversion.
-- Each row is one line of the outbox.
WITH ranked AS (
    SELECT
        c.conv_id,
        s.session_id,
        s.event_date || ' ' || s.event_time AS happened_at,
        s.channel_name,
        s.holder_engagement,
        s.closer_engagement,
        s.impression_interaction,
        row_number() OVER (
            PARTITION BY c.conv_id ORDER BY s.event_date DESC, s.event_time DESC, s.session_id DESC
        ) AS from_the_end
    FROM conversions AS c
    INNER JOIN sessions AS s ON s.user_id = c.user_id
        AND s.event_date || ' ' || s.event_time <= c.conv_date || ' ' || c.conv_time
)
SELECT json_object(
    'conversion_id', conv_id,
    'session_id', session_id,
    'timestamp', happened_at,
    'channel_label', channel_name,
    'holder_engagement', holder_engagement,
    'closer_engagement', closer_engagement,
    'conversion', CASE WHEN from_the_end = 1 THEN 1 ELSE 0 END,
    'impression_interaction', impression_interaction
)
FROM ranked
ORDER BY conv_id, from_the_end DESC;
