-- One row for each program of an advocate; what is no amount is null.
SELECT a.file, a.user_id, p.program->>'program_id' AS program_id, p.program->>'brand' AS brand,
       TRY_CAST(p.program->>'total_sales_attributed' AS DECIMAL(12, 2)) AS sales,
       p.program->'tasks_completed' AS tasks
FROM {{ source('lake', 'advocates') }} AS a,
     unnest(CAST(a.advocacy_programs AS JSON[])) AS p(program)
