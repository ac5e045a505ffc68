"""Makes the shop's exports from a seed, and counts in plain Python what the models and the database must show.

    generate.py DIRECTORY [--scale S]

At scale 1: 100 000 products, a million customers, 5 million orders, 20 million items, 500 categories. The exports have
the quirks of real ones: `parent_id` as `21.0`, `True` and `False`, times without a zone, names of categories and SKUs
that come twice, SKUs that are none, discounts above the price. All amounts are counted in cents.
"""

import argparse
import csv
import datetime
import json
import pathlib
import random

FIRST_DAY, YEARS = datetime.date(2020, 1, 1), 3
DAYS = (datetime.date(FIRST_DAY.year + YEARS, 1, 1) - FIRST_DAY).days
COUNTRIES = ["DE", "FR", "GB", "IN", "JP", "US"]
STATUSES = ["placed", "shipped", "delivered", "returned"]
BAD_SKUS = ["???", "sku 12", "n/a"]
EPOCH = datetime.datetime.combine(FIRST_DAY, datetime.time())


def money(cents):
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def flag(value):
    return "True" if value else "False"


class Table:
    """A CSV file as the shop exports it."""

    def __init__(self, path, columns):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(path, "w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file)
        self.writer.writerow(columns)

    def __enter__(self):
        return self.writer.writerow

    def __exit__(self, *_):
        self.file.close()


class Shop:
    def __init__(self, directory, scale):
        self.dir = directory
        self.random = random.Random(7)
        self.sizes = {
            "categories": max(20, int(500 * scale)),
            "products": max(200, int(100_000 * scale)),
            "customers": max(500, int(1_000_000 * scale)),
            "orders": max(2_000, int(5_000_000 * scale)),
        }
        self.products = {}       # id: (sku, category, price in cents) of those whose SKU is one
        self.refused = {}        # id: why the database does not take it

    def inbox(self, stream, name):
        return self.dir / "inbox" / stream / name

    def make(self):
        self.write_categories()
        self.make_products()
        self.write_products("products.csv")
        self.write_customers()
        return self.write_orders()

    def write_categories(self):
        count, roots = self.sizes["categories"], max(2, self.sizes["categories"] // 10)
        names = [f"Category {number}" for number in range(1, count + 1)]
        # Names that come twice are other categories all the same.
        names[-1], names[-2] = names[roots], names[roots + 1]
        with Table(self.inbox("categories", "categories.csv"), ["category_id", "name", "parent_id", "is_active"]) as add:
            for number, name in enumerate(names, 1):
                parent = "" if number <= roots else f"{self.random.randint(1, roots)}.0"
                add([number, name, parent, flag(self.random.random() < 0.95)])
        self.names = dict(enumerate(names, 1))

    def make_products(self):
        count = self.sizes["products"]
        self.rows = {}
        for number in range(1, count + 1):
            sku = f"SKU-{number:06d}"
            created = EPOCH + datetime.timedelta(seconds=self.random.randrange(86_400 * 300))
            category, price = self.random.randint(1, self.sizes["categories"]), self.random.randint(99, 50_000)
            self.rows[number] = [sku, f"Product {number}, \"{sku}\"", category, price, created]
        # A few SKUs belong to an earlier product already, and a few are none.
        for number in range(count // 2, count + 1, max(60, count // 10)):
            self.rows[number][0] = self.rows[number - 50][0]
        for number, sku in zip(range(count // 3, count), BAD_SKUS):
            self.rows[number][0] = sku
        taken = {}
        for number, (sku, _, category, price, _) in self.rows.items():
            if sku in BAD_SKUS:
                continue
            self.products[number] = (sku, category, price)
            if sku in taken:
                self.refused[number] = f"SKU {sku} belongs to product {taken[sku]}"
            taken.setdefault(sku, number)

    def write_products(self, name):
        columns = ["product_id", "sku", "name", "category_id", "price", "is_active", "created_at"]
        with Table(self.inbox("products", name), columns) as add:
            for number, (sku, title, category, price, created) in self.rows.items():
                add([number, sku, title, category, money(price), flag(number % 9), created])

    def change_products(self):
        """The export of the next day, under the same name: five prices have changed, and a product is new."""
        changed = [number for number in self.products if number not in self.refused][:5]
        for number in changed:
            self.rows[number][3] += 100
        new = max(self.rows) + 1
        self.rows[new] = [f"SKU-{new:06d}", f"Product {new}", 1, 1_000, EPOCH]
        self.write_products("products.csv")
        return len(changed), 1

    def write_customers(self):
        columns = ["customer_id", "email", "name", "country", "registered_at", "newsletter"]
        with Table(self.inbox("customers", "customers.csv"), columns) as add:
            for number in range(1, self.sizes["customers"] + 1):
                registered = EPOCH + datetime.timedelta(seconds=self.random.randrange(86_400 * 300))
                country = self.random.choice(COUNTRIES)
                add([number, f"c{number}@example.com", f"Åsa \"{number}\", Jr.", country, registered, flag(number % 3)])

    def write_orders(self):
        """Orders and items by year, and the counts."""
        count = Count(self)
        order, item, of_year = 0, 0, self.sizes["orders"] // YEARS
        for year in range(FIRST_DAY.year, FIRST_DAY.year + YEARS):
            start = datetime.datetime(year, 1, 1)
            seconds = int((datetime.datetime(year + 1, 1, 1) - start).total_seconds())
            with (
                Table(self.inbox("orders", f"orders-{year}.csv"), ["order_id", "customer_id", "ordered_at", "status"]) as add,
                Table(
                    self.inbox("order_items", f"order_items-{year}.csv"),
                    ["item_id", "order_id", "product_id", "quantity", "unit_price", "discount"],
                ) as add_item,
            ):
                for _ in range(of_year):
                    order += 1
                    customer = self.random.randint(1, self.sizes["customers"])
                    at = start + datetime.timedelta(seconds=self.random.randrange(seconds))
                    add([order, customer, at, self.random.choice(STATUSES)])
                    count.order(order, customer, at)
                    for _ in range(self.random.choice([1, 2, 3, 4, 4, 5, 6, 7])):
                        item += 1
                        product = self.random.randint(1, self.sizes["products"])
                        quantity, price = self.random.randint(1, 5), self.rows[product][3]
                        discount = self.random.randrange(price) if self.random.random() < 0.2 else 0
                        if self.random.random() < 0.001:
                            discount = price * quantity + 50
                        add_item([item, order, product, quantity, money(price), money(discount)])
                        count.item(order, customer, at, product, quantity, price * quantity - discount)
        return count


class Count:
    """The independent count."""

    def __init__(self, shop):
        self.shop = shop
        self.days = set()
        self.by_order, self.by_customer, self.by_day = {}, {}, {}
        self.rows = {"items": 0, "orders": 0, "items_below_zero": 0, "items_refused": 0}
        self.in_march = {}       # quantity and cents of each product in March of the second year
        self.by_month = {}
        self.by_product = {}     # cents of each product of the first category

    def order(self, order, customer, at):
        self.rows["orders"] += 1
        self.days.add(at.date())
        self.by_order[order] = 0
        orders, cents = self.by_customer.get(customer, (0, 0))
        self.by_customer[customer] = (orders + 1, cents)

    def item(self, order, customer, at, product, quantity, cents):
        self.rows["items"] += 1
        self.rows["items_below_zero"] += cents < 0
        self.by_order[order] += cents
        orders, before = self.by_customer[customer]
        self.by_customer[customer] = (orders, before + cents)
        known = self.shop.products.get(product)
        place = (at.date(), known[1] if known else None, product)
        sold, earned = self.by_day.get(place, (0, 0))
        self.by_day[place] = (sold + quantity, earned + cents)
        if known is None or product in self.shop.refused:
            # Neither is in the database.
            self.rows["items_refused"] += 1
            return
        if (at.year, at.month) == (FIRST_DAY.year + 1, 3):
            sold, earned = self.in_march.get(product, (0, 0))
            self.in_march[product] = (sold + quantity, earned + cents)
        if known[1] == 1:
            self.by_product[product] = self.by_product.get(product, 0) + cents
        month = f"{at:%Y-%m}-01"
        self.by_month[month] = self.by_month.get(month, 0) + cents

    def write(self, directory):
        """The long lists as CSV, as the models must write them; the others are returned."""
        directory.mkdir(parents=True, exist_ok=True)
        lists = {
            "order_revenue": ((order, money(cents)) for order, cents in sorted(self.by_order.items())),
            "customer_lifetime_value": (
                (customer, orders, money(cents)) for customer, (orders, cents) in sorted(self.by_customer.items())
            ),
            "daily_sales": (
                (day, "" if category is None else category, product, quantity, money(cents))
                for (day, category, product), (quantity, cents) in sorted(
                    self.by_day.items(), key=lambda own: (own[0][0], own[0][2])
                )
            ),
        }
        for name, rows in lists.items():
            with open(directory / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
        shop = self.shop
        quarters = {(day.year, (day.month + 2) // 3) for day in self.days}
        return {
            **self.rows,
            "products": len(shop.products),
            "categories": shop.sizes["categories"],
            "customers": shop.sizes["customers"],
            "bad_skus": len(BAD_SKUS),
            "refused_products": {str(number): why for number, why in shop.refused.items()},
            "days": (max(self.days) - min(self.days)).days + 1,
            "partitions": sorted(f"orders_{year}_q{quarter}" for year, quarter in quarters),
            "march": sorted([product, *sums] for product, sums in self.in_march.items()),
            "top": [list(own) for own in sorted(self.by_product.items(), key=lambda own: (-own[1], own[0]))[:3]],
            "months": sorted([month, cents] for month, cents in self.by_month.items()),
        }


def generate(directory, scale):
    """Returns the shop, which can change, and what must be found of it."""
    shop = Shop(pathlib.Path(directory), scale)
    count = shop.make()
    expected = count.write(shop.dir / "expected")
    (shop.dir / "expected.json").write_text(json.dumps(expected, indent=1))
    return shop, expected


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--scale", type=float, default=0.01)
    asked = parser.parse_args()
    generate(asked.directory, asked.scale)
