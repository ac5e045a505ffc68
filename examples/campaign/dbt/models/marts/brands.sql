-- What each brand has got: engagement of the tasks, sales of the programs.
WITH tasks AS (
    SELECT brand, count(*) AS tasks, sum(likes)::BIGINT AS likes, sum(comments)::BIGINT AS comments,
           sum(shares)::BIGINT AS shares, sum(reach)::BIGINT AS reach
    FROM {{ ref('stg_tasks') }} GROUP BY brand
)
SELECT p.brand, count(*) AS programs, any_value(t.tasks) AS tasks, any_value(t.likes) AS likes,
       any_value(t.comments) AS comments, any_value(t.shares) AS shares, any_value(t.reach) AS reach, sum(p.sales) AS sales
FROM {{ ref('stg_programs') }} AS p
LEFT JOIN tasks AS t USING (brand)
GROUP BY p.brand
ORDER BY p.brand
