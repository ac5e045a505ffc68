-- The shop's database: normalised, with a history of what was loaded. Orders are partitioned by quarter; load.py adds
-- the partitions that the data needs. Running this again changes nothing.
CREATE SCHEMA IF NOT EXISTS store;

CREATE TABLE IF NOT EXISTS store.categories (
    category_id integer PRIMARY KEY,
    name        text NOT NULL,
    parent_id   integer REFERENCES store.categories DEFERRABLE INITIALLY DEFERRED,
    is_active   boolean
);

CREATE TABLE IF NOT EXISTS store.products (
    product_id  integer PRIMARY KEY,
    sku         text NOT NULL UNIQUE CHECK (sku ~ '^SKU-[0-9]{6}$'),
    name        text,
    category_id integer REFERENCES store.categories,
    price       numeric(12, 2) NOT NULL CHECK (price >= 0),
    is_active   boolean,
    created_at  timestamptz
);

CREATE TABLE IF NOT EXISTS store.customers (
    customer_id   integer PRIMARY KEY,
    email         text NOT NULL,
    name          text,
    country       char(2),
    registered_at timestamptz,
    newsletter    boolean
);

CREATE TABLE IF NOT EXISTS store.orders (
    order_id    bigint NOT NULL,
    customer_id integer NOT NULL REFERENCES store.customers,
    ordered_at  timestamptz NOT NULL,
    status      text,
    PRIMARY KEY (order_id, ordered_at)
) PARTITION BY RANGE (ordered_at);

-- The key of a partitioned table has its partition in it, so load.py checks that each item has its order.
CREATE TABLE IF NOT EXISTS store.order_items (
    item_id    bigint PRIMARY KEY,
    order_id   bigint NOT NULL,
    product_id integer NOT NULL REFERENCES store.products,
    quantity   integer NOT NULL CHECK (quantity > 0),
    unit_price numeric(12, 2),
    discount   numeric(12, 2)
);

CREATE TABLE IF NOT EXISTS store.sales_trend (
    month       date NOT NULL,
    category_id integer NOT NULL,
    quantity    bigint NOT NULL,
    revenue     numeric(18, 2) NOT NULL,
    PRIMARY KEY (month, category_id)
);

-- What was loaded: a run of the lake is loaded once.
CREATE TABLE IF NOT EXISTS store.loads (
    table_name text NOT NULL,
    run        text NOT NULL,
    loaded_at  timestamptz NOT NULL DEFAULT now(),
    copied     bigint NOT NULL,
    moved      bigint NOT NULL,
    PRIMARY KEY (table_name, run)
);
