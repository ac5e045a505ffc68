SELECT o.customer_id, count(*) AS orders, sum(r.revenue) AS revenue
FROM {{ ref('stg_orders') }} AS o
JOIN {{ ref('order_revenue') }} AS r USING (order_id)
GROUP BY o.customer_id
