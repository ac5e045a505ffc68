"""Loads what dbt has made into PostgreSQL: in bulk, in one transaction, and only what was not loaded before.

    load.py --database shop.duckdb [--dry-run]

PGHOST, PGPORT, PGUSER and PGDATABASE say where PostgreSQL is. Each run of the lake is copied once; of what is copied,
only rows that differ from those that are there are written. What the database cannot take is named, and left out.
Exit code 1 if nothing could be loaded.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import duckdb

HERE = pathlib.Path(__file__).resolve().parent

# In the order in which they refer to each other: the columns, how many of them are the key, the rows that the database
# takes, and the stream of the lake whose runs they come from; {new} is the condition that a run is new.
TABLES = {
    "categories": (
        ["category_id", "name", "parent_id", "is_active"], 1, "categories",
        "SELECT {columns} FROM categories WHERE {new}",
    ),
    "products": (
        ["product_id", "sku", "name", "category_id", "price", "is_active", "created_at"], 1, "products",
        "SELECT {columns} FROM stg_products WHERE refused IS NULL AND EXISTS (SELECT 1 FROM products WHERE {new})",
    ),
    "customers": (
        ["customer_id", "email", "name", "country", "registered_at", "newsletter"], 1, "customers",
        "SELECT {columns} FROM customers WHERE {new}",
    ),
    "orders": (
        ["order_id", "customer_id", "ordered_at", "status"], 1, "orders",
        "SELECT {columns} FROM orders WHERE {new} AND customer_id IN (SELECT customer_id FROM customers)",
    ),
    "order_items": (
        ["item_id", "order_id", "product_id", "quantity", "unit_price", "discount"], 1, "order_items",
        "SELECT {columns} FROM order_items WHERE {new} AND order_id IN (SELECT order_id FROM orders)"
        " AND product_id IN (SELECT product_id FROM stg_products WHERE refused IS NULL)",
    ),
    "sales_trend": (
        ["month", "category_id", "quantity", "revenue"], 2, None,
        "SELECT {columns} FROM sales_trend WHERE category_id IS NOT NULL",
    ),
}
REFUSED = """
    SELECT 'products' AS stream, product_id::VARCHAR AS what, refused AS why FROM stg_products WHERE refused IS NOT NULL
    UNION ALL
    SELECT 'products', raw, 'line ' || line || ' of ' || file || ': ' || (errors->>'$[0].code') || ' at ' || (errors->>'$[0].pointer')
    FROM quarantine WHERE stream = 'products'
    ORDER BY ALL
"""


def psql(script, *more):
    command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", *more]
    done = subprocess.run(command, input=script, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"load: PostgreSQL refuses, and nothing was loaded:\n{done.stderr.strip()}")
    return done.stdout.splitlines()


def tables_there():
    there = "SELECT 1 FROM information_schema.tables WHERE table_schema = 'store' AND table_name = 'loads'"
    return bool(psql(there))


def loaded(is_there):
    runs = {}
    for line in psql("SELECT table_name || '|' || run FROM store.loads") if is_there else []:
        table, run = line.split("|", 1)
        runs.setdefault(table, set()).add(run)
    return runs


def new_runs(db, table, stream, before):
    """The runs of a table that were not loaded; of a mart, a name for its content."""
    if stream is None:
        query = f"SELECT 'content-' || printf('%x', bit_xor(hash(o))) FROM {table} AS o"
    else:
        query = f"SELECT DISTINCT run FROM {stream} ORDER BY run"
    names = [name for (name,) in db.execute(query).fetchall() if name]
    return [name for name in names if name not in before]


def partitions(db, query):
    """The quarters that rows of orders fall into."""
    first, last = db.execute(f"SELECT min(ordered_at), max(ordered_at) FROM ({query})").fetchone()
    if first is None:
        return []
    made, year, quarter = [], first.year, (first.month + 2) // 3
    while (year, quarter) <= (last.year, (last.month + 2) // 3):
        start = f"{year}-{quarter * 3 - 2:02d}-01 00:00+00"
        after = (year, quarter + 1) if quarter < 4 else (year + 1, 1)
        end = f"{after[0]}-{after[1] * 3 - 2:02d}-01 00:00+00"
        made.append(
            f"CREATE TABLE IF NOT EXISTS store.orders_{year}_q{quarter} PARTITION OF store.orders"
            f" FOR VALUES FROM ('{start}') TO ('{end}');"
        )
        year, quarter = after
    return made


def statements(table, columns, keys, file, is_empty):
    """What brings the rows of a file into a table, and counts those that it wrote as `moved`."""
    names = ", ".join(columns)
    copy = f"\\copy {{}} ({names}) FROM '{file}' (FORMAT csv, NULL '\\N')"
    if is_empty:
        return [copy.format(f"store.{table}"), f"SELECT count(*) AS moved FROM store.{table} \\gset"]
    key, rest = ", ".join(columns[:keys]), columns[keys:]
    conflict = f"{key}, ordered_at" if table == "orders" else key
    new = ", ".join(f"excluded.{column}" for column in rest)
    lines = [
        f"CREATE TEMP TABLE incoming ON COMMIT DROP AS SELECT {names} FROM store.{table} LIMIT 0;",
        copy.format("incoming"),
    ]
    if table == "orders":
        # The time decides about the partition: an order that has got another one is another row.
        lines.append(
            "DELETE FROM store.orders AS o USING incoming AS i WHERE o.order_id = i.order_id AND o.ordered_at <> i.ordered_at;"
        )
    lines += [
        f"WITH moved AS (INSERT INTO store.{table} AS old ({names}) SELECT {names} FROM incoming"
        f" ON CONFLICT ({conflict}) DO UPDATE SET ({', '.join(rest)}) = ROW({new})"
        f" WHERE ({', '.join('old.' + column for column in rest)}) IS DISTINCT FROM ({new}) RETURNING 1)"
        " SELECT count(*) AS moved FROM moved \\gset",
        "DROP TABLE incoming;",
    ]
    return lines


def load(database, is_dry=False):
    """Returns what was copied and what moved, by table, and what was refused."""
    is_there = tables_there()
    before = loaded(is_there)
    report = {"tables": {}, "refused": []}
    script = [(HERE / "database.sql").read_text()]
    with duckdb.connect(str(database), read_only=True) as db, tempfile.TemporaryDirectory() as scratch:
        db.execute("SET TimeZone = 'UTC'")
        for table, (columns, keys, stream, query) in TABLES.items():
            runs = new_runs(db, table, stream, before.get(table, set()))
            report["tables"][table] = {"runs": len(runs), "copied": 0, "moved": 0}
            if not runs:
                continue
            new = "run IN (" + ", ".join(f"'{run}'" for run in runs) + ")"
            query = query.format(columns=", ".join(columns), new=new)
            if is_dry:
                report["tables"][table]["copied"] = db.execute(f"SELECT count(*) FROM ({query})").fetchone()[0]
                continue
            file = pathlib.Path(scratch) / f"{table}.csv"
            copied = db.execute(f"COPY ({query}) TO '{file}' (FORMAT csv, HEADER false, NULLSTR '\\N')").fetchone()[0]
            report["tables"][table]["copied"] = copied
            if table == "orders":
                script += partitions(db, query)
            is_empty = table not in before
            script += statements(table, columns, keys, file, is_empty)
            values = ", ".join(f"('{table}', '{run}', {copied}, :moved)" for run in runs)
            script.append(f"INSERT INTO store.loads (table_name, run, copied, moved) VALUES {values};")
            script.append(f"\\echo {table} :moved")
        report["refused"] = [list(row) for row in db.execute(REFUSED).fetchall()]
        if is_dry:
            return report
        script += [(HERE / "indexes.sql").read_text(), (HERE / "api.sql").read_text()]
        for line in psql("\n".join(["SET client_min_messages = warning;", *script]), "--single-transaction"):
            table, moved = line.split()
            report["tables"][table]["moved"] = int(moved)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--database", type=pathlib.Path, required=True, help="the database of dbt")
    parser.add_argument("--dry-run", action="store_true", help="say what would be copied, and write nothing")
    parser.add_argument("--report", type=pathlib.Path, help="a file for what was done, as JSON")
    asked = parser.parse_args()
    report = load(asked.database, asked.dry_run)
    for table, done in report["tables"].items():
        print(f"{table}: {done['runs']} new runs, {done['copied']} rows copied, {done['moved']} moved")
    for stream, what, why in report["refused"]:
        print(f"refused: {stream} {what}: {why}", file=sys.stderr)
    if asked.report:
        asked.report.write_text(json.dumps(report))


if __name__ == "__main__":
    os.environ.setdefault("PGDATABASE", "shop")
    main()
