"""Asks two lakes the same questions, compares the answers, and shows sizes and times side by side.

    formats.py LINES.sql LINES_DIR PARQUET.sql PARQUET_DIR
"""

import pathlib
import sys
import time

import duckdb

QUERIES = {
    "events by type and day": "SELECT dt, event_type, count(*) FROM events GROUP BY ALL",
    "users by day": "SELECT dt, count(DISTINCT user_id) FROM events GROUP BY ALL",
    "revenue by day": "SELECT dt, round(sum(p_amount), 2) FROM events WHERE event_type = 'purchase' GROUP BY ALL",
    "top content": "SELECT p_content_id, count(*) AS n FROM events WHERE p_content_id IS NOT NULL"
    " GROUP BY 1 ORDER BY n DESC, 1 LIMIT 20",
    "events by hour": "SELECT date_trunc('hour', timestamp), count(*) FROM events GROUP BY ALL",
    "one day": "SELECT source, count(*) FROM events WHERE dt = (SELECT min(dt) FROM events) GROUP BY ALL",
    "one user": "SELECT event_type, count(*), max(timestamp) FROM events WHERE user_id = 'user-00042' GROUP BY ALL",
    "one event": "SELECT user_id, timestamp FROM events WHERE event_id LIKE '%-0000-4000-8000-00000000002a'",
    "amounts": "SELECT quantile_disc(p_amount, [0.5, 0.95, 0.99]) FROM events",
    "viewers who bought": "SELECT count(*) FROM (SELECT user_id FROM events GROUP BY 1 HAVING"
    " count(*) FILTER (event_type = 'view') > 5 AND count(*) FILTER (event_type = 'purchase') > 10)",
}
ROUNDS = 3


def size_of(directory):
    return sum(path.stat().st_size for path in pathlib.Path(directory).rglob("*") if path.is_file())


def lake(statements):
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'; SET threads = 2")
    db.execute(pathlib.Path(statements).read_text())
    return db


def ask(db, query):
    """The sorted answer, and the best time of a few."""
    best, rows = float("inf"), None
    for _ in range(ROUNDS):
        before = time.perf_counter()
        rows = db.execute(query).fetchall()
        best = min(best, time.perf_counter() - before)
    return sorted(map(str, rows)), best


def main():
    lines, lines_dir, columns, columns_dir = sys.argv[1:]
    sizes = size_of(lines_dir), size_of(columns_dir)
    lakes = lake(lines), lake(columns)
    rows = lakes[0].execute("SELECT count(*) FROM events").fetchone()[0]
    print(f"\n| {rows} events | NDJSON, zstd | Parquet | Parquet / NDJSON |")
    print("|---|---:|---:|---:|")
    print(f"| bytes | {sizes[0]} | {sizes[1]} | {sizes[1] / sizes[0]:.2f} |")
    for name, query in QUERIES.items():
        (a, a_time), (b, b_time) = (ask(db, query) for db in lakes)
        if a != b or not a:
            sys.exit(f"the answers to {name!r} differ:\n{a[:5]}\n{b[:5]}")
        print(f"| {name} | {a_time * 1000:.0f} ms | {b_time * 1000:.0f} ms | {b_time / a_time:.2f} |")
    print(f"\nAll {len(QUERIES)} answers are the same.")


if __name__ == "__main__":
    main()
