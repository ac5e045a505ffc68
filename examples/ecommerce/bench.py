"""The example as a bench: its order items into the lake beside other tools, and into PostgreSQL beside a bare COPY.

    bench.py [--scale S] [--dir DIR]

At scale 1 that is 20 million items. The data is generated once, and used again if it is there. Seconds of the
processor are those of the process that does the work; of PostgreSQL the time on the clock is told.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import generate
import lab
import postgres
import run

HERE = pathlib.Path(__file__).resolve().parent
DUCKDB = """import duckdb, sys
duckdb.sql(f"COPY (FROM read_csv('{sys.argv[1]}')) TO '{sys.argv[2]}' (FORMAT parquet, COMPRESSION zstd)")"""
POLARS = """import polars, sys
polars.scan_csv(sys.argv[1]).sink_parquet(sys.argv[2], compression="zstd")"""


# Runs a command and prints what it took. It is a program of its own because a process inherits the peak of memory of
# the one that starts it, and this one has made the data.
MEASURE = """import json, os, subprocess, sys, time
start = time.monotonic()
process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
print(json.dumps([status, used.ru_utime + used.ru_stime, time.monotonic() - start, used.ru_maxrss >> 10]))"""


def measured(what, command, **options):
    """Runs a command, and tells what it took: the processor, the clock, and the peak of memory."""
    words = [sys.executable, "-S", "-c", MEASURE, *(str(word) for word in command)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, **options)
    status, cpu, seconds, peak = json.loads(done.stdout)
    if status != 0:
        raise lab.Failed(f"{what} ended with {status}")
    print(f"| {what} | {cpu:.1f} | {seconds:.1f} | {peak} MiB |", flush=True)
    return cpu


def made(directory, scale):
    """The exports; generated unless they are there."""
    facts = directory / f"facts-{scale}.json"
    if not facts.exists():
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        _, expected = generate.generate(directory, scale)
        facts.write_text(json.dumps(expected))
    return json.loads(facts.read_text())


def into_lake(example, expected):
    """The largest exports, by three programs."""
    exports = example.dir / "inbox" / "order_items"
    size = sum(file.stat().st_size for file in exports.iterdir())
    print(f"{expected['items']:,} items, {size / 1e6:.0f} MB of CSV, to Parquet\n")
    print("| program | CPU seconds | seconds | peak of memory |")
    print("|---|---:|---:|---:|")
    out = example.dir / "other.parquet"
    others = measured("DuckDB", [sys.executable, "-c", DUCKDB, exports / "*.csv", out])
    measured("polars", [lab.venv(".venv-readers"), "-c", POLARS, exports / "*.csv", out])
    own = measured("lakehook", [lab.lakehook(), "files", "order_items"], env=example.environment)
    out.unlink()
    print(f"\n{own / others:.2f} of DuckDB's processor time, with a schema, ids and the quarantine\n")


def into_database(example, expected):
    """The same items into PostgreSQL, as the example loads them and by a bare COPY of the exports."""
    files = sorted((example.dir / "inbox" / "order_items").iterdir())
    example.lakehook("files")
    example.run(sys.executable, HERE / "models.py")
    with lab.Processes() as processes:
        example.server.start(processes)
        start = time.monotonic()
        report = example.load()
        took = time.monotonic() - start
        with open(files[0], encoding="utf-8") as export:
            columns = ", ".join(f"{name} text" for name in export.readline().strip().split(","))
        example.run("psql", "--no-psqlrc", "--quiet", "--command", f"CREATE TABLE bare ({columns})")
        start = time.monotonic()
        for file in files:
            example.run("psql", "--no-psqlrc", "--quiet", "--command", f"\\copy bare FROM '{file}' (FORMAT csv, HEADER)")
        bare = time.monotonic() - start
    rows = sum(done["moved"] for done in report["tables"].values())
    items = report["tables"]["order_items"]["moved"]
    print("| into PostgreSQL | rows | seconds | rows a second |")
    print("|---|---:|---:|---:|")
    print(f"| a bare COPY of the items, as text | {expected['items']:,} | {bare:.1f} | {expected['items'] / bare:,.0f} |")
    print(f"| all tables, with types, keys, partitions and indexes ({items:,} items) | {rows:,} | {took:.1f} | {rows / took:,.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--dir", type=pathlib.Path, default=HERE / "work" / "bench", help="where everything goes")
    parser.add_argument("--generate", action="store_true", help="only make the data")
    asked = parser.parse_args()
    directory = asked.dir.resolve()
    expected = made(directory, asked.scale)
    if asked.generate:
        return
    for name in ("lake", "wal", "polls"):
        shutil.rmtree(directory / name, ignore_errors=True)
    example = run.Example(directory)
    try:
        into_lake(example, expected)
        into_database(example, expected)
    finally:
        example.server.remove()


if __name__ == "__main__":
    lab.main(main)
