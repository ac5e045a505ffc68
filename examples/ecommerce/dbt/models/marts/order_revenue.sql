SELECT o.order_id, coalesce(sum(i.amount), 0) AS revenue
FROM {{ ref('stg_orders') }} AS o
LEFT JOIN {{ ref('stg_order_items') }} AS i USING (order_id)
GROUP BY o.order_id
