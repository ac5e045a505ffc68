-- A SKU belongs to the first product that has it: what the others are refused for says `refused`.
SELECT product_id, sku, name, category_id, price, is_active, created_at,
       CASE WHEN first_id <> product_id THEN 'SKU ' || sku || ' belongs to product ' || first_id END AS refused
FROM (
    SELECT *, min(product_id) OVER (PARTITION BY sku) AS first_id FROM {{ source('lake', 'products') }}
)
