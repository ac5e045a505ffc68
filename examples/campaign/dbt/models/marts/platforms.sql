SELECT platform, count(*) AS tasks, sum(likes + comments + shares)::BIGINT AS engagement
FROM {{ ref('stg_tasks') }}
GROUP BY platform
ORDER BY platform
