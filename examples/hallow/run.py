"""Runs the whole example and compares its numbers with the independent count.

    run.py [--small] [--dir DIR]

A bucket, the data server, the service, two polls, three CSV files, and dbt over all of them. It runs twice over the
same data: in the first round the service is killed in the middle; the second must store nothing new.
"""

import csv
import json
import os
import pathlib
import shutil
import signal
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import chart
import generate
import lab

HERE = pathlib.Path(__file__).resolve().parent
ANALYTICS = lab.REPOSITORY / "analytics"


class Example:
    def __init__(self, directory, small):
        self.dir = directory
        self.python = lab.venv(".venv-analytics")
        self.port, self.api = lab.free_port(), lab.free_port()
        self.endpoint = f"http://127.0.0.1:{lab.free_port()}"
        sizes = ["--users", "2000", "--sessions", "20000", "--batches", "60"] if small else []
        self.pace = 100 if small else 20
        self.asked = generate.arguments([str(directory / "data"), *sizes])
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            **lab.AWS,
            "LAKEHOOK": lab.lakehook(),
            "LAKEHOOK_CONFIG": str(HERE / "lakehook.toml"),
            "LAKEHOOK_SERVER__LISTEN": f"127.0.0.1:{self.port}",
            "LAKEHOOK_LAKE__ENDPOINT": self.endpoint,
            "LAKEHOOK_WAL__DIR": str(directory / "wal"),
            "LAKEHOOK_POLLS__DIR": str(directory / "polls"),
            "LAKEHOOK_POLL__USERS__URL": f"http://127.0.0.1:{self.api}/api/users",
            "LAKEHOOK_POLL__CONTENT__URL": f"http://127.0.0.1:{self.api}/api/content",
        }

    def lakehook(self, *words, good=(0,)):
        return lab.run([lab.lakehook(), *words], env=self.environment, good=good)

    def serve(self, processes):
        process = processes.start([lab.lakehook(), "serve"], self.dir / "lakehook.log", env=self.environment)
        lab.wait_until(f"http://127.0.0.1:{self.port}/ready", process)
        return process

    def start_bucket(self, processes):
        port = self.endpoint.rsplit(":", 1)[1]
        command = [lab.venv(".venv"), "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        process = processes.start(command, self.dir / "bucket.log", env={**os.environ, **lab.AWS})
        lab.wait_until(f"{self.endpoint}/moto-api/data.json", process)
        lab.fetch(f"{self.endpoint}/lake", "PUT")
        for name in ("users", "content", "sessions"):
            body = (self.dir / "data" / f"{name}.csv").read_bytes()
            lab.fetch(f"{self.endpoint}/lake/csv/{name}.csv", "PUT", body)

    def round(self, processes, expected, number):
        """Pushes and pulls everything, and stops the service once all of it is in the bucket."""
        service = self.serve(processes)
        command = [self.python, HERE / "server.py", self.dir / "data", "--listen", self.api, "--pace", self.pace]
        command += ["--webhook", f"http://127.0.0.1:{self.port}/webhook/events"]
        server = processes.start(command, self.dir / "server.log")
        pushed = f"http://127.0.0.1:{self.api}/pushed"
        lab.wait_until(pushed, server)
        said = self.lakehook("poll", "users", "content")
        if number == 1:
            self.until_pushed(pushed, self.asked.batches // 2)
            service.send_signal(signal.SIGKILL)
            service.wait()
            time.sleep(0.5)
            service = self.serve(processes)
        answers = self.until_pushed(pushed, self.asked.batches)
        lab.stop(service)
        server.kill()
        server.wait()
        if number == 1:
            dropped = sum(answer["dropped"] for answer in answers)
            lab.compare("signups dropped, malformed ones too", dropped, expected["dropped"])
        else:
            new = sum(answer["accepted"] for answer in answers)
            lab.compare("events that are new in the second round", new, 0)
            lab.compare("polls that read the same", said.count("unchanged since run"), 2)

    def until_pushed(self, url, count):
        end = time.monotonic() + 600
        while True:
            state = json.loads(lab.fetch(url))
            if state["pushed"] >= count:
                return state["answers"]
            if time.monotonic() > end:
                raise lab.Failed(f"only {state['pushed']} of {count} requests were answered")
            time.sleep(0.05)

    def dbt(self):
        """The marts, as `uv run dbt build` makes them in the mounted project."""
        marts = self.dir / "marts"
        shutil.rmtree(marts, ignore_errors=True)
        marts.mkdir()
        environment = {
            **self.environment,
            "LAKEHOOK_BUCKET": "true",
            "LAKEHOOK_S3_ENDPOINT": self.endpoint.removeprefix("http://"),
            "LAKEHOOK_S3_SSL": "false",
        }
        command = [self.python, ANALYTICS / "run.py", "--config", HERE / "lakehook.toml"]
        command += ["--lakehook", lab.lakehook(), "--database", self.dir / "hallow.duckdb"]
        command += ["--files", "s3://lake/csv", "--csv", marts]
        lab.run(command, env=environment)
        return marts

    def check(self, expected):
        self.lakehook("audit")
        marts = self.dbt()
        top = rows(marts / "top_5_prayer_types_per_age_group.csv")
        found = [[group, prayer, int(count), int(rank)] for group, prayer, count, rank in top]
        name = "top_5_prayer_types_per_age_group"
        lab.compare(name, sorted(found), sorted(expected[name]))
        self.picture(found)
        days = rows(marts / "daily_events.csv")
        by_day = {f"{day} {kind} {source}": int(events) for day, kind, source, events, _ in days}
        lab.compare("events", sum(by_day.values()), expected["events"])
        lab.compare("events by day, type and source", by_day, expected["events_by_day"])
        revenue = {row[0]: round(float(row[3]) * 100) for row in rows(marts / "revenue_daily.csv")}
        lab.compare("revenue by day, in cents", revenue, expected["revenue_cents"])
        counts = rows(marts / "lake_counts.csv")
        found = {name: int(count) for name, count in counts}
        names = ["users", "content", "sessions", "events_without_user", "events_with_user_object"]
        lab.compare("other counts", found, {name: expected[name] for name in names})


    def picture(self, top):
        """The mart as a picture."""
        groups = sorted({group for group, *_ in top})
        ranked = {group: sorted(row[3:] + row[1:3] for row in top if row[0] == group) for group in groups}
        panels = [(group, ["sessions"], [(prayer, [count]) for _, prayer, count in ranked[group]]) for group in groups]
        chart.bars(self.dir / "result.svg", "Prayer types with most sessions, by age", panels)


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def main():
    asked = lab.asked(__doc__, HERE, "fewer of everything, in half a minute")
    directory = asked.dir
    example = Example(directory, asked.small)
    expected = generate.generate(directory / "data", example.asked)
    with lab.Processes() as processes:
        example.start_bucket(processes)
        for number in (1, 2):
            print(f"round {number}")
            example.round(processes, expected, number)
            example.check(expected)
    print(f"hallow: everything adds up, twice. The marts are in {directory / 'hallow.duckdb'}")


if __name__ == "__main__":
    lab.main(main)
