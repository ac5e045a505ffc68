-- More than seven days without a plan, between the plans of a company and a type, once overlaps are merged.
CREATE OR REPLACE TABLE plan_gaps AS
WITH covered AS (
    SELECT company_ein, plan_type, start,
           max("end") OVER (PARTITION BY company_ein, plan_type ORDER BY start, "end" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS until
    FROM plans
)
SELECT company_ein, plan_type, CAST(until + 1 AS DATE) AS gap_start, CAST(start - 1 AS DATE) AS gap_end, start - until - 1 AS gap_days
FROM covered
WHERE start - until - 1 > 7
ORDER BY ALL;
