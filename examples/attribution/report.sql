-- The report: cost, attribution and revenue of each channel and day. The cost of a session counts once, however
-- many journeys it is in.
DROP TABLE IF EXISTS channel_reporting;
CREATE TABLE channel_reporting AS
WITH attributed AS (
    SELECT a.session_id, sum(a.ihc) AS ihc, sum(a.ihc * c.revenue) AS ihc_revenue
    FROM attribution_customer_journey AS a
    INNER JOIN conversions AS c ON c.conv_id = a.conv_id
    GROUP BY a.session_id
)
SELECT
    s.channel_name,
    s.event_date AS date,
    round(sum(coalesce(k.cost, 0)), 2) AS cost,
    round(sum(coalesce(a.ihc, 0)), 6) AS ihc,
    round(sum(coalesce(a.ihc_revenue, 0)), 4) AS ihc_revenue,
    round(sum(coalesce(k.cost, 0)) / nullif(sum(coalesce(a.ihc, 0)), 0), 4) AS cpo,
    round(sum(coalesce(a.ihc_revenue, 0)) / nullif(sum(coalesce(k.cost, 0)), 0), 4) AS roas
FROM sessions AS s
LEFT JOIN costs AS k ON k.session_id = s.session_id
LEFT JOIN attributed AS a ON a.session_id = s.session_id
GROUP BY s.channel_name, s.event_date
ORDER BY s.channel_name, s.event_date;
