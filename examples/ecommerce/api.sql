-- What GraphQL shows: views, so that the partitions of orders are one type, and functions for what is asked often.
CREATE SCHEMA IF NOT EXISTS shop;

CREATE OR REPLACE VIEW shop.categories AS SELECT * FROM store.categories;
COMMENT ON VIEW shop.categories IS E'@primaryKey category_id\n@foreignKey (parent_id) references shop.categories (category_id)|@fieldName parent|@foreignFieldName children\n@omit create,update,delete';

-- A plain view, so that a mutation can update it.
CREATE OR REPLACE VIEW shop.products AS SELECT * FROM store.products;
COMMENT ON VIEW shop.products IS E'@primaryKey product_id\n@foreignKey (category_id) references shop.categories (category_id)|@fieldName category|@foreignFieldName products\n@omit create,delete';

CREATE OR REPLACE VIEW shop.customers AS SELECT * FROM store.customers;
COMMENT ON VIEW shop.customers IS E'@primaryKey customer_id\n@omit create,update,delete';

CREATE OR REPLACE VIEW shop.orders AS SELECT * FROM store.orders;
COMMENT ON VIEW shop.orders IS E'@primaryKey order_id\n@foreignKey (customer_id) references shop.customers (customer_id)|@fieldName customer|@foreignFieldName orders\n@omit create,update,delete';

CREATE OR REPLACE VIEW shop.order_items AS
SELECT *, unit_price * quantity - discount AS amount FROM store.order_items;
COMMENT ON VIEW shop.order_items IS E'@primaryKey item_id\n@foreignKey (order_id) references shop.orders (order_id)|@fieldName order|@foreignFieldName items\n@foreignKey (product_id) references shop.products (product_id)|@fieldName product|@foreignFieldName items\n@omit create,update,delete';

CREATE OR REPLACE VIEW shop.sales_trend AS SELECT * FROM store.sales_trend;
COMMENT ON VIEW shop.sales_trend IS E'@name sales_trend_month\n@primaryKey month,category_id\n@foreignKey (category_id) references shop.categories (category_id)|@fieldName category|@foreignFieldName trend\n@omit create,update,delete';

DO $$ BEGIN
    CREATE TYPE shop.product_sale AS (product_id integer, name text, category_id integer, quantity bigint, revenue numeric);
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

-- Sales of each product from one day to another, the second not included.
CREATE OR REPLACE FUNCTION shop.product_sales(since date, until date) RETURNS SETOF shop.product_sale AS $$
    SELECT p.product_id, p.name, p.category_id, sum(i.quantity)::bigint, sum(i.unit_price * i.quantity - i.discount)
    FROM store.orders AS o
    JOIN store.order_items AS i USING (order_id)
    JOIN store.products AS p USING (product_id)
    WHERE o.ordered_at >= since::timestamp AT TIME ZONE 'UTC' AND o.ordered_at < until::timestamp AT TIME ZONE 'UTC'
    GROUP BY p.product_id
    ORDER BY p.product_id
$$ LANGUAGE sql STABLE;
COMMENT ON FUNCTION shop.product_sales(date, date) IS E'@sortable\n@filterable';

-- The products of a category that earned most in all.
CREATE OR REPLACE FUNCTION shop.top_sellers(category integer, most integer DEFAULT 10) RETURNS SETOF shop.product_sale AS $$
    SELECT p.product_id, p.name, p.category_id, sum(i.quantity)::bigint, sum(i.unit_price * i.quantity - i.discount) AS revenue
    FROM store.products AS p
    JOIN store.order_items AS i USING (product_id)
    WHERE p.category_id = category
    GROUP BY p.product_id
    ORDER BY revenue DESC, p.product_id
    LIMIT most
$$ LANGUAGE sql STABLE;
