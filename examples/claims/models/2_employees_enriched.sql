-- The EIN of an employee, or that of the company whose domain the address has.
CREATE OR REPLACE TABLE employees_enriched AS
SELECT e.employee_id, e.full_name, e.email, coalesce(e.ein, c.ein) AS ein, e.ein IS NULL AND c.ein IS NOT NULL AS is_enriched,
       c.name AS company
FROM employees AS e
LEFT JOIN company AS c ON c.domain = split_part(e.email, '@', 2)
ORDER BY e.employee_id;
