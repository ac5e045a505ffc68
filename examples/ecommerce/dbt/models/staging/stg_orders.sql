SELECT order_id, customer_id, ordered_at, CAST(ordered_at AS DATE) AS day, status
FROM {{ source('lake', 'orders') }}
