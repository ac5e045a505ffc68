"""Runs the whole example and compares its numbers with the independent count.

    run.py [--small] [--scale S] [--dir DIR]

Files into the lake (killed once in the middle), dbt, PostgreSQL, GraphQL and a page; then all of it again as a
workflow, which must move nothing; then the products change, and only their rows may move.
"""

import filecmp
import json
import pathlib
import subprocess
import sys
import time
import urllib.error

import duckdb

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import generate
import lab
import postgres

HERE = pathlib.Path(__file__).resolve().parent
STREAMS = ["categories", "products", "customers", "orders", "order_items"]
LISTS = {
    "order_revenue": "order_id, revenue",
    "customer_lifetime_value": "customer_id, orders, revenue",
    "daily_sales": "strftime(day, '%Y-%m-%d'), category_id, product_id, quantity, revenue",
}


class Example:
    def __init__(self, directory):
        self.dir = directory
        self.database = directory / "shop.duckdb"
        self.server = postgres.Server(directory / "postgres.log")
        self.environment = {
            **lab.environment(HERE, directory),
            **self.server.environment(),
            "LAKEHOOK": lab.lakehook(),
            "SHOP_PYTHON": sys.executable,
            "SHOP_DB": str(self.database),
            "SHOP_PAGE": str(directory / "index.html"),
            "FLYTE_SDK_LOGGING_LEVEL": "40",
        }
        for stream in STREAMS:
            self.environment[f"LAKEHOOK_FILES__{stream.upper()}__PATH"] = str(directory / "inbox" / stream / "*.csv")

    def run(self, *command, good=(0,)):
        return lab.run(command, env=self.environment, good=good)

    def lakehook(self, *words):
        return self.run(lab.lakehook(), *words)

    def killed(self):
        """A look that is killed once it has put an object."""
        process = subprocess.Popen(
            [lab.lakehook(), "files"], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not any((self.dir / "lake").glob("*/dt=*/run=*/*")):
            time.sleep(0.005)
        process.kill()
        process.wait()

    def load(self):
        report = self.dir / "load.json"
        self.run(sys.executable, HERE / "load.py", "--database", self.database, "--report", report)
        return json.loads(report.read_text())

    def check_lake(self, expected):
        self.lakehook("audit")
        with duckdb.connect(str(self.database), read_only=True) as db:
            count = lambda table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            found = {"items": count("order_items")} | {name: count(name) for name in STREAMS[:-1]}
            lab.compare("rows", found, {name: expected[name] for name in found})
            lab.compare("SKUs that are none, in the quarantine", count("quarantine"), expected["bad_skus"])
            lab.compare("days", count("days"), expected["days"])
            lab.compare("discounts above the price", count("stg_order_items WHERE amount < 0"), expected["items_below_zero"])
            for name, columns in LISTS.items():
                target = self.dir / f"{name}.csv"
                query = f"SELECT {columns} FROM {name} ORDER BY ALL"
                if name == "daily_sales":
                    query = f"SELECT {columns} FROM {name} ORDER BY day, product_id"
                db.execute(f"COPY ({query}) TO '{target}' (HEADER false)")
                is_same = filecmp.cmp(target, self.dir / "expected" / f"{name}.csv", shallow=False)
                lab.compare(f"{name}.csv, to the cent", is_same, True)

    def check_database(self, expected, refused):
        count = lambda table: int(self.server.query(f"SELECT count(*) FROM store.{table}")[0])
        found = {name: count(name) for name in ["categories", "customers", "orders"]}
        lab.compare("rows in PostgreSQL", found, {name: expected[name] for name in found})
        lab.compare("products there", count("products"), expected["products"] - len(expected["refused_products"]))
        lab.compare("items there", count("order_items"), expected["items"] - expected["items_refused"])
        own = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'store.orders'::regclass ORDER BY 1"
        lab.compare("partitions", [name.removeprefix("store.") for name in self.server.query(own)], expected["partitions"])
        told = {what: why for stream, what, why in refused if why.startswith("SKU ")}
        lab.compare("products refused aloud", told, expected["refused_products"])
        lab.compare("SKUs refused aloud, with their lines", len(refused) - len(told), expected["bad_skus"])

    def graphql(self, processes):
        """Starts PostGraphile; returns what asks it."""
        modules = HERE / "graphql" / "node_modules"
        program = lab.need(modules / "postgraphile" / "cli.js", "PostGraphile")
        port = lab.free_port()
        plugins = "postgraphile-plugin-connection-filter,@graphile-contrib/pg-simplify-inflector"
        url = f"postgres://shop@127.0.0.1:{self.server.port}/shop"
        command = ["node", program, "--connection", url, "--schema", "shop", "--port", port, "--host", "127.0.0.1"]
        command += ["--append-plugins", plugins, "--dynamic-json", "--no-setof-functions-contain-nulls", "--disable-query-log"]
        process = processes.start(command, self.dir / "graphql.log", env=self.environment, cwd=HERE / "graphql")

        def ask(query, **variables):
            body = json.dumps({"query": query, "variables": variables}).encode()
            try:
                said = lab.fetch(f"http://127.0.0.1:{port}/graphql", "POST", body, kind="application/json")
            except urllib.error.HTTPError as error:
                said = error.read()
            answer = json.loads(said)
            if "errors" in answer:
                raise lab.Failed(f"GraphQL: {[error['message'] for error in answer['errors']]}")
            return answer["data"]

        lab.wait_until_said(process, self.dir / "graphql.log", "PostGraphile v4")
        return ask

    def check_graphql(self, ask, expected, shop):
        year = generate.FIRST_DAY.year + 1
        sales, cursor = [], None
        while True:
            page = ask(
                """query($since: Date!, $until: Date!, $after: Cursor) {
                  productSales(since: $since, until: $until, first: 500, after: $after) {
                    nodes { productId quantity revenue } pageInfo { hasNextPage endCursor } } }""",
                since=f"{year}-03-01", until=f"{year}-04-01", after=cursor,
            )["productSales"]
            sales += [[own["productId"], int(own["quantity"]), cents(own["revenue"])] for own in page["nodes"]]
            cursor = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        lab.compare("sales of each product in a month", sales, expected["march"])
        trend = ask("{ salesTrendMonths(orderBy: MONTH_ASC) { nodes { month revenue } } }")["salesTrendMonths"]["nodes"]
        months = {}
        for own in trend:
            months[own["month"]] = months.get(own["month"], 0) + cents(own["revenue"])
        lab.compare("sales trend", sorted(map(list, months.items())), expected["months"])
        customer = ask(
            """{ customer(customerId: 1) { email orders(orderBy: ORDERED_AT_DESC, first: 3) {
                   totalCount nodes { orderId items { nodes { quantity amount product { sku } } } } } } }"""
        )["customer"]
        own = self.server.query("SELECT count(*) FROM store.orders WHERE customer_id = 1")
        lab.compare("orders of a customer", customer["orders"]["totalCount"], int(own[0]))
        top = ask("{ topSellers(category: 1, most: 3) { nodes { productId revenue } } }")["topSellers"]["nodes"]
        found = [[own["productId"], cents(own["revenue"])] for own in top]
        lab.compare("best sellers of a category", found, expected["top"])
        cheap = ask("{ products(filter: {price: {lessThan: \"10\"}, isActive: {equalTo: true}}) { totalCount } }")
        expected_cheap = sum(
            shop.rows[number][3] < 1_000 and bool(number % 9) for number in shop.products if number not in shop.refused
        )
        lab.compare("active products below 10.00", cheap["products"]["totalCount"], expected_cheap)
        changed = ask(
            """mutation { updateProduct(input: {productId: 1, patch: {name: "Another name"}}) { product { name price } } }"""
        )["updateProduct"]["product"]
        lab.compare("a product's name after the mutation", changed["name"], "Another name")


def cents(text):
    return round(float(text) * 100)


def moved(report):
    return {table: done["moved"] for table, done in report["tables"].items()}


def whole(example, processes, shop, expected):
    example.killed()
    print(example.lakehook("files").strip())
    print(example.run(sys.executable, HERE / "models.py").strip())
    print(example.run(sys.executable, HERE / "load.py", "--database", example.database, "--dry-run").strip())
    report = example.load()
    example.check_lake(expected)
    example.check_database(expected, report["refused"])
    ask = example.graphql(processes)
    example.check_graphql(ask, expected, shop)
    print("again, as a workflow")
    before = example.server.query("SELECT count(*), sum(copied), sum(moved) FROM store.loads")
    said = example.run(lab.venv(".venv-examples"), HERE / "workflow.py")
    lab.compare("new runs in the workflow", said.count(": 0 new runs, 0 rows copied, 0 moved"), 6)
    lab.compare("loads", example.server.query("SELECT count(*), sum(copied), sum(moved) FROM store.loads"), before)
    example.check_lake(expected)
    page = (example.dir / "index.html").read_text()
    lab.compare("the page shows the orders", f"{expected['orders']:,}" in page, True)
    print("the products change")
    changed, new = shop.change_products()
    print(example.lakehook("files", "products").strip())
    example.run(sys.executable, HERE / "models.py")
    found = moved(example.load())
    # The name that the mutation has changed is the shop's again.
    lab.compare("rows that move", found, {table: 0 for table in found} | {"products": changed + new})


def with_scale(parser):
    parser.add_argument("--scale", type=float, help="1: 20 million items, a gigabyte of CSV")


def main():
    asked = lab.asked(__doc__, HERE, "scale 0.002 in place of 0.01", more=with_scale)
    directory = asked.dir
    shop, expected = generate.generate(directory, asked.scale or (0.002 if asked.small else 0.01))
    example = Example(directory)
    try:
        with lab.Processes() as processes:
            example.server.start(processes)
            whole(example, processes, shop, expected)
    finally:
        example.server.remove()
    print(f"ecommerce: everything adds up. The page is {directory / 'index.html'}")


if __name__ == "__main__":
    lab.main(main)
