-- After the first load, which is faster without them.
CREATE INDEX IF NOT EXISTS products_by_category ON store.products (category_id);
CREATE INDEX IF NOT EXISTS orders_by_customer ON store.orders (customer_id, ordered_at);
CREATE INDEX IF NOT EXISTS orders_by_id ON store.orders (order_id);
CREATE INDEX IF NOT EXISTS orders_by_time ON store.orders (ordered_at);
CREATE INDEX IF NOT EXISTS items_by_order ON store.order_items (order_id);
CREATE INDEX IF NOT EXISTS items_by_product ON store.order_items (product_id);
ANALYZE;
