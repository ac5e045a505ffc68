-- By month and category, of what the database has: products that are refused are left out.
SELECT CAST(date_trunc('month', o.day) AS DATE) AS month, p.category_id, CAST(sum(i.quantity) AS BIGINT) AS quantity,
       sum(i.amount) AS revenue
FROM {{ ref('stg_order_items') }} AS i
JOIN {{ ref('stg_orders') }} AS o USING (order_id)
JOIN {{ ref('stg_products') }} AS p USING (product_id)
WHERE p.refused IS NULL
GROUP BY ALL
