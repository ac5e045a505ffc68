-- The time dimension: every day from the first order to the last one.
SELECT CAST(day AS DATE) AS day, year(day) AS year, quarter(day) AS quarter, month(day) AS month,
       weekofyear(day) AS week, isodow(day) AS weekday, isodow(day) > 5 AS is_weekend
FROM (SELECT unnest(generate_series(min(day), max(day), INTERVAL 1 DAY)) AS day FROM {{ ref('stg_orders') }})
