{{ config(severity = 'warn') }}
SELECT product_id, sku, refused FROM {{ ref('stg_products') }} WHERE refused IS NOT NULL
