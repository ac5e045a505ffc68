{{ config(severity = 'warn') }}
SELECT i.item_id, i.product_id
FROM {{ ref('stg_order_items') }} AS i
LEFT JOIN {{ ref('stg_products') }} AS p USING (product_id)
WHERE p.product_id IS NULL
