-- One row for each task; what is no number that can be is null.
SELECT p.file, p.brand, t.task->>'task_id' AS task_id, t.task->>'platform' AS platform,
       {% for name in ['likes', 'comments', 'shares', 'reach'] -%}
       CASE WHEN TRY_CAST(t.task->>'{{ name }}' AS BIGINT) >= 0 THEN TRY_CAST(t.task->>'{{ name }}' AS BIGINT) END AS {{ name }}
       {%- if not loop.last %}, {% endif %}
       {% endfor %}
FROM {{ ref('stg_programs') }} AS p, unnest(CAST(p.tasks AS JSON[])) AS t(task)
