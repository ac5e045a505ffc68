-- Items whose discount is more than what they cost: some come in every export; more than one in two hundred do not.
SELECT count(*) FILTER (amount < 0) AS below_zero, count(*) AS items
FROM {{ ref('stg_order_items') }}
HAVING count(*) FILTER (amount < 0) * 200 > count(*)
