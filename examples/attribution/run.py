"""Runs the whole example and compares its numbers with the independent count.

    run.py [--small] [--dir DIR]

SQL makes journeys of sessions and conversions in SQLite; a call sends them to the attribution API in three runs, of
which the first is killed, the second takes a range of times and the third the rest; SQL makes the report of
the answers. A fourth run must send nothing.
"""

import csv
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import time

import duckdb

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import chart
import generate
import lab

HERE = pathlib.Path(__file__).resolve().parent
SOME = ["--since", "2026-01-01", "--until", "2026-01-15"]


class Example:
    def __init__(self, directory):
        self.dir = directory
        self.api = f"http://127.0.0.1:{lab.free_port()}"
        self.environment = lab.environment(
            HERE,
            directory,
            LAKEHOOK_API__ATTRIBUTION__URL=self.api,
            LAKEHOOK_CALL__IHC__ROWS=str(directory / "outbox" / "*.ndjson"),
        )

    def lakehook(self, *words):
        return lab.run([lab.lakehook(), *words], env=self.environment)

    def stats(self):
        return json.loads(lab.fetch(f"{self.api}/stats"))

    def sql(self, name):
        return (HERE / name).read_text()

    def write_outbox(self):
        """The journeys, under their name only once they are complete."""
        outbox = self.dir / "outbox"
        outbox.mkdir(exist_ok=True)
        with sqlite3.connect(self.dir / "shop.sqlite") as db, open(outbox / ".journeys", "w", encoding="utf-8") as file:
            for (row,) in db.execute(self.sql("journeys.sql")):
                file.write(row + "\n")
        db.close()
        os.replace(outbox / ".journeys", outbox / "journeys.ndjson")

    def killed_call(self):
        """A run that is killed once a few requests were made."""
        command = [lab.lakehook(), "call", *SOME]
        before = self.stats()["requests"]
        process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while self.stats()["requests"] < before + 3 and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.wait()

    def report(self):
        """Brings the answers beside the tables that they are joined with, and makes the report."""
        views = self.lakehook("sql", "duckdb")
        with duckdb.connect() as lake:
            lake.execute(views)
            rows = lake.execute("SELECT conversion_id, session_id, ihc FROM ihc_current").fetchall()
            twice = lake.execute("SELECT count(*) - count(DISTINCT (conversion_id, session_id)) FROM ihc").fetchone()[0]
            failed = lake.execute("SELECT \"group\" FROM ihc_sent WHERE failed > 0 ORDER BY 1").fetchall()
            kept = lake.execute("SELECT count(*) FROM quarantine WHERE stream = 'ihc'").fetchone()[0]
        with sqlite3.connect(self.dir / "shop.sqlite") as db:
            db.execute("DROP TABLE IF EXISTS attribution_customer_journey")
            db.execute("CREATE TABLE attribution_customer_journey (conv_id TEXT, session_id TEXT, ihc REAL)")
            db.executemany("INSERT INTO attribution_customer_journey VALUES (?, ?, ?)", rows)
            db.executescript(self.sql("report.sql"))
            found = db.execute("SELECT * FROM channel_reporting")
            names = [column[0] for column in found.description]
            report = [dict(zip(names, row)) for row in found]
            sums = db.execute("SELECT sum(ihc) FROM attribution_customer_journey GROUP BY conv_id").fetchall()
        db.close()
        with open(self.dir / "channel_reporting.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(report)
        return {
            "rows": len(rows),
            "twice": twice,
            "failed": [name for (name,) in failed],
            "quarantined": kept,
            "not_one": sum(abs(total - 1) > 1e-9 for (total,) in sums),
            "report": {f"{row.pop('channel_name')} {row.pop('date')}": row for row in report},
        }

    def picture(self, report):
        """The report as a picture: all days of each channel."""
        totals = {}
        for place, row in report.items():
            total = totals.setdefault(place.rsplit(" ", 1)[0], [0, 0, 0])
            for index, name in enumerate(["ihc", "ihc_revenue", "cost"]):
                total[index] += row[name]
        order = sorted(totals, key=lambda channel: -totals[channel][1])
        panels = [
            ("Conversions, shared among channels", ["ihc"], [(channel, totals[channel][:1]) for channel in order]),
            ("Revenue and cost", ["revenue", "cost"], [(channel, totals[channel][1:]) for channel in order]),
        ]
        chart.bars(self.dir / "result.svg", "What each channel has brought", panels)

    def check(self, expected):
        self.lakehook("audit")
        found = self.report()
        self.picture(found["report"])
        lab.compare("rows of answers", found["rows"], expected["rows"])
        lab.compare("rows that are there twice", found["twice"], 0)
        lab.compare("journeys whose shares do not sum to 1", found["not_one"], 0)
        lab.compare("journeys that the API has refused", found["failed"], expected["failed"])
        lab.compare("failures in the quarantine", found["quarantined"], len(expected["failed"]))
        differences = [
            f"{place}.{name}"
            for place in {**expected["report"], **found["report"]}
            for name in ("cost", "ihc", "ihc_revenue", "cpo", "roas")
            if not is_close(found["report"].get(place, {}).get(name), expected["report"].get(place, {}).get(name))
        ]
        lab.compare("channels and days", len(found["report"]), len(expected["report"]))
        lab.compare("differences in the report", differences, [])
        stats = self.stats()
        lab.compare("journeys that the API was sent", stats["journeys"], expected["journeys"])
        lab.compare("journeys sent under two keys", stats["under_two_keys"], [])


def is_close(one, other):
    """Sums of doubles differ in their last digits by the order of the terms."""
    if one is None or other is None:
        return one is None and other is None
    return abs(one - other) <= 1e-3 * max(1, abs(one), abs(other))


def main():
    asked = lab.asked(__doc__, HERE, "fewer users")
    directory = asked.dir
    expected = generate.generate(directory, users=400 if asked.small else 4_000)
    example = Example(directory)
    with lab.Processes() as processes:
        command = [sys.executable, HERE / "api.py", "--listen", example.api.rsplit(":", 1)[1]]
        process = processes.start(command, directory / "api.log")
        lab.wait_until(f"{example.api}/stats", process)
        example.write_outbox()
        example.killed_call()
        print("some days:", example.lakehook("call", *SOME).splitlines()[0])
        print("the rest: ", example.lakehook("call").splitlines()[0])
        example.check(expected)
        before = example.stats()["requests"]
        example.write_outbox()
        print("again:    ", example.lakehook("call").splitlines()[0])
        lab.compare("requests of the last run", example.stats()["requests"] - before, 0)
        example.check(expected)
    print(f"attribution: everything adds up. The report is {directory / 'channel_reporting.csv'}")


if __name__ == "__main__":
    lab.main(main)
