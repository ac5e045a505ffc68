"""Writes a page of the shop's sales: one file without scripts, which any server can show.

    page.py        reads $SHOP_DB, and writes $SHOP_PAGE
"""

import html
import os
import pathlib

import duckdb

WIDTH, HEIGHT = 880, 220
COLOURS = ["#3b6ea5", "#c2703d", "#5b8c5a", "#8e5a9c", "#b0403f"]
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #223; max-width: 920px; margin: 2em auto; }
h1 { font-size: 1.5em } h2 { font-size: 1.1em; margin-top: 2em }
table { border-collapse: collapse } td, th { padding: .2em .9em .2em 0; text-align: left }
td:nth-child(n+3), th:nth-child(n+3) { text-align: right }
.figures { display: flex; gap: 3em } .figures b { display: block; font-size: 1.6em }
svg text { font-size: 11px; fill: #667 }
"""


def amount(value):
    return f"{value:,.2f}"


def bars(rows):
    """A bar for each month."""
    most = max((value for _, value in rows), default=1) or 1
    step = WIDTH / max(len(rows), 1)
    parts = []
    for number, (month, value) in enumerate(rows):
        height = float(value) / float(most) * (HEIGHT - 30)
        x, y = number * step, HEIGHT - 20 - height
        parts.append(
            f'<rect x="{x + 1:.1f}" y="{y:.1f}" width="{step - 2:.1f}" height="{height:.1f}" fill="{COLOURS[0]}">'
            f"<title>{month:%Y-%m}: {amount(value)}</title></rect>"
        )
        if month.month == 1:
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 4}">{month.year}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Revenue by month">{"".join(parts)}</svg>'


def table(names, rows):
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def page(db):
    orders, revenue = db.execute("SELECT count(*), sum(revenue) FROM order_revenue").fetchone()
    customers = db.execute("SELECT count(*) FROM customer_lifetime_value").fetchone()[0]
    months = db.execute("SELECT month, sum(revenue) FROM sales_trend GROUP BY month ORDER BY month").fetchall()
    products = db.execute(
        "SELECT p.sku, p.name, sum(s.quantity), sum(s.revenue) FROM daily_sales AS s JOIN stg_products AS p USING (product_id)"
        " GROUP BY ALL ORDER BY 4 DESC, 1 LIMIT 10"
    ).fetchall()
    weekdays = db.execute(
        "SELECT d.weekday, CASE WHEN d.is_weekend THEN 'weekend' ELSE 'week' END, count(DISTINCT d.day), sum(s.revenue)"
        " FROM daily_sales AS s JOIN days AS d USING (day) GROUP BY ALL ORDER BY 1"
    ).fetchall()
    figures = [("orders", f"{orders:,}"), ("customers who bought", f"{customers:,}"), ("revenue", amount(revenue))]
    shown = "".join(f"<div><b>{value}</b>{name}</div>" for name, value in figures)
    products = [(sku, name, f"{int(sold):,}", amount(earned)) for sku, name, sold, earned in products]
    names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    weekdays = [(names[day - 1], kind, days, amount(earned)) for day, kind, days, earned in weekdays]
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sales</title><style>{STYLE}</style>
<h1>Sales</h1>
<div class="figures">{shown}</div>
<h2>Revenue by month</h2>
{bars(months)}
<h2>Products that earned most</h2>
{table(["SKU", "product", "sold", "revenue"], products)}
<h2>By weekday</h2>
{table(["day", "", "days", "revenue"], weekdays)}
</html>
"""


if __name__ == "__main__":
    with duckdb.connect(os.environ["SHOP_DB"], read_only=True) as connection:
        pathlib.Path(os.environ["SHOP_PAGE"]).write_text(page(connection), encoding="utf-8")
