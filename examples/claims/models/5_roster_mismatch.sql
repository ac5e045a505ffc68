-- Employees that the register expects against those that are counted.
CREATE OR REPLACE TABLE roster_mismatch AS
WITH counted AS (SELECT ein, count(*) AS employees FROM employees_enriched GROUP BY ein)
SELECT c.ein, c.name, c.employees AS expected, coalesce(n.employees, 0) AS counted,
       CASE WHEN abs(coalesce(n.employees, 0) - c.employees) * 2 > c.employees THEN 'high'
            WHEN abs(coalesce(n.employees, 0) - c.employees) * 5 > c.employees THEN 'medium'
            ELSE 'low' END AS severity
FROM company AS c
LEFT JOIN counted AS n ON n.ein = c.ein
WHERE c.ein IS NOT NULL AND coalesce(n.employees, 0) <> c.employees
ORDER BY c.ein;
