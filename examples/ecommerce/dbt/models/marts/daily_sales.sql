-- By day, product and category; names of categories come twice, so their ids count.
SELECT o.day, p.category_id, i.product_id, CAST(sum(i.quantity) AS BIGINT) AS quantity,
       sum(i.amount) AS revenue
FROM {{ ref('stg_order_items') }} AS i
JOIN {{ ref('stg_orders') }} AS o USING (order_id)
LEFT JOIN {{ ref('stg_products') }} AS p USING (product_id)
GROUP BY ALL
