-- Companies whose claims of the last 90 days are more than 200 % above those of the 90 days before.
CREATE OR REPLACE TABLE claim_spikes AS
WITH windows AS (
    SELECT c.company_ein,
           sum(c.amount) FILTER (c.service_date > l.day - 90) AS current_amount,
           sum(c.amount) FILTER (c.service_date <= l.day - 90) AS previous_amount
    FROM claims_all AS c, (SELECT max(service_date) AS day FROM claims_all) AS l
    WHERE c.service_date > l.day - 180
    GROUP BY c.company_ein
)
SELECT company_ein, current_amount, previous_amount,
       CAST((current_amount - previous_amount) * 100 / previous_amount AS DECIMAL(12, 1)) AS increase_percent
FROM windows
WHERE previous_amount > 0 AND current_amount > 3 * previous_amount
ORDER BY company_ein;
