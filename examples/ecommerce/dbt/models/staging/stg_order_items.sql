-- Items with what they earned: decimals, so that no cent is lost.
SELECT item_id, order_id, product_id, quantity, unit_price, discount,
       CAST(unit_price * quantity - discount AS DECIMAL(18, 2)) AS amount
FROM {{ source('lake', 'order_items') }}
