SELECT a.file, a.user_id, a.name, coalesce(sum(p.sales), 0) AS sales
FROM {{ source('lake', 'advocates') }} AS a
LEFT JOIN {{ ref('stg_programs') }} AS p USING (file)
GROUP BY ALL
ORDER BY sales DESC, a.file
LIMIT 10
