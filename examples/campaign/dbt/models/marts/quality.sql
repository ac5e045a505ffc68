-- What was wrong: files that were refused, and values that are none. `share` is of all files, or of all values.
WITH rows AS (SELECT * FROM {{ source('lake', 'advocates') }}),
refused AS (SELECT errors->>'$[0].code' AS rule FROM {{ source('lake', 'quarantine') }} WHERE stream = 'advocates'),
files AS (SELECT (SELECT count(*) FROM rows) + (SELECT count(*) FROM refused) AS files),
tasks AS (SELECT 4 * count(*) AS numbers, 4 * count(*) - count(likes) - count(comments) - count(shares) - count(reach) AS bad FROM {{ ref('stg_tasks') }}),
programs AS (SELECT count(*) AS programs, count(*) - count(sales) AS bad FROM {{ ref('stg_programs') }})
SELECT what, number, CAST(number * 100.0 / nullif(of, 0) AS DECIMAL(5, 2)) AS share_percent
FROM (
    SELECT 'not_json' AS what, count(*) FILTER (rule = 'json') AS number, any_value(files) AS of FROM refused, files
    UNION ALL SELECT 'other_structure', count(*) FILTER (rule <> 'json'), any_value(files) FROM refused, files
    UNION ALL SELECT 'without_id', count(*) FILTER (user_id IS NULL), count(*) FROM rows
    UNION ALL SELECT 'addresses_that_are_none', count(*) FILTER (email IS NULL), count(*) FROM rows
    UNION ALL SELECT 'handles_that_are_none', count(*) FILTER (instagram_handle IS NULL), count(*) FROM rows
    UNION ALL SELECT 'dates_that_are_none', count(*) FILTER (joined_at IS NULL), count(*) FROM rows
    UNION ALL SELECT 'names_that_are_numbers', count(*) FILTER (TRY_CAST(name AS DOUBLE) IS NOT NULL), count(*) FROM rows
    UNION ALL SELECT 'numbers_that_are_none', bad, numbers FROM tasks
    UNION ALL SELECT 'sales_without_data', bad, programs FROM programs
)
ORDER BY what
