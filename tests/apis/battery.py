"""Runs lakehook against every fake, three times, and compares its lake with what the API held.

    battery.py --program PATH --work DIR [--only NAME …] [--changes FILE]

`--changes` names a JSON file of changed configurations to try instead: a list of name, old and new text.

Prints one JSON object a line for each API: what is documented, and for its whole copy and its changes
`null` if every row was right, else what was wrong. Each configuration is `NAME.toml`, with the address
of the fake in the place of the real one. A poll whose name ends in `_changes` asks for what is new;
the others read everything. The three runs are: all that is there; what has changed, has come and has
gone meanwhile, through faults; and nothing new.
"""

import argparse
import collections
import concurrent.futures
import datetime
import decimal
import json
import pathlib
import re
import subprocess
import sys
import tomllib
import urllib.request

import duckdb

HERE = pathlib.Path(__file__).parent
FAULTS = [429, "cut", None, 500, None, 502]
HEAD = '[lake]\nurl = "lake"\n[wal]\nmax_bytes = "64 MiB"\n[polls]\nmax_bytes = "64 MiB"\n\n'
RUNS = ("the first run", "the run after changes and faults", "the run without news")
# Columns that a view has beyond those of the record.
OWN = {"received_at", "lsn", "dt", "run", "started_at"}


class Wrong(Exception):
    """What is not as it should be."""


class Control:
    """The control server of the fakes."""

    def __init__(self):
        command = [sys.executable, "-B", HERE / "serve.py"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.url + path, data, timeout=30) as answer:
            return answer.read().decode()

    def json(self, path, body=None):
        return json.loads(self.ask(path, body))

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


class Trial:
    """One API: its fake, its configuration, its lake."""

    def __init__(self, control, program, name, directory, change=None):
        self.control, self.program, self.directory = control, program, directory
        self.about = control.json(f"/start?api={name}", {})
        self.number = self.about["number"]
        path = HERE / f"{name}.toml"
        text = path.read_text() if path.exists() else ""
        self.reasons = dict(re.findall(r"^# (whole|incremental): no – (.+)$", text, re.M))
        if change:
            if text.count(change[0]) == 0:
                raise Wrong(f"{name}.toml does not hold {change[0]!r}")
            text = text.replace(change[0], change[1])
        for origin in self.about["origins"]:
            fake = f"http://127.0.0.1:{self.about['port']}"
            text = re.sub(rf'(url"? = "){re.escape(origin)}', rf"\g<1>{fake}", text)
        self.polls = tomllib.loads(text).get("poll", {})
        directory.mkdir(parents=True)
        (directory / "lakehook.toml").write_text(HEAD + text)
        for file in re.findall(r'_file"? = "([^"]+)"', text):
            (directory / file).write_text(self.about["token"] + "\n")
            (directory / file).chmod(0o600)

    def result(self):
        """What is to be told of it, after all runs."""
        told = {key: self.about[key] for key in ("title", "document", "pages", "credentials", "filter")}
        kinds = {"whole": [name for name in self.polls if not name.endswith("_changes")]}
        changes = [name for name in self.polls if name.endswith("_changes")]
        if self.about["filter"]:
            kinds["incremental"] = changes
        elif changes:
            raise Wrong("there is a poll for changes, but no filter is documented")
        verdicts = {kind: self.without_runs(kind, polls) for kind, polls in kinds.items()}
        sent = {kind: [] for kind in kinds}
        for which in RUNS:
            if which == RUNS[1]:
                self.control.json(f"/{self.number}/advance", {})
            for kind, polls in kinds.items():
                if verdicts[kind] is None:
                    self.control.json(f"/{self.number}/arm", FAULTS if which == RUNS[1] else [])
                    verdicts[kind] = self.verdict(which, polls, sent[kind])
        if "incremental" in kinds and verdicts["incremental"] is None:
            verdicts["incremental"] = uneconomical(sent["incremental"])
        told["differences"] = self.control.json(f"/{self.number}/differences")
        told["reasons"] = list(self.reasons.values())
        return {**told, "whole": verdicts["whole"], "incremental": verdicts.get("incremental")}

    def without_runs(self, kind, polls):
        """Why there is nothing to run, if so."""
        if kind in self.reasons:
            return f"it has a poll and a reason: {self.reasons[kind]}" if polls else self.reasons[kind]
        return None if polls else "there is no configuration, and no reason"

    def verdict(self, which, polls, sent):
        """Runs these polls; what is wrong afterwards."""
        try:
            self.run(which, polls, sent)
        except Wrong as wrong:
            return str(wrong)
        return None

    def run(self, which, polls, sent):
        """Runs these polls, and compares each with the truth."""
        output = self.lakehook("poll", *polls)
        told = self.control.json(f"/{self.number}/sent")
        sent.append(sum(told["sent"].values()))
        if output.returncode:
            said = " / ".join((output.stdout + output.stderr).strip().splitlines())
            refused = f"; the fake refused {told['refused'][-1]}" if told["refused"] else ""
            raise Wrong(f"{which} failed: {said[-700:]}{refused}")
        for poll in polls:
            self.compare(which, poll)

    def lakehook(self, *arguments):
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.directory)}
        try:
            return subprocess.run(
                [self.program, *arguments],
                cwd=self.directory, env=environment, capture_output=True, text=True, timeout=60,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Wrong(f"lakehook {' '.join(arguments)} has not ended after a minute") from None

    def compare(self, which, poll):
        lines = self.control.ask(f"/{self.number}/truth?poll={poll}").splitlines()
        truth = [json.loads(line, parse_float=decimal.Decimal) for line in lines]
        views = self.lakehook("sql", "duckdb")
        if views.returncode:
            raise Wrong(f"{which}: no views: {views.stderr.strip()[-300:]}")
        rows, kinds = self.rows(views.stdout, poll)
        expected = collections.Counter(canonical(record, kinds) for record in truth)
        found = collections.Counter(canonical(record, kinds) for record in rows)
        missing, surplus = expected - found, found - expected
        if missing or surplus:
            samples = [f"{len(list(missing.elements()))} rows are missing", f"{len(list(surplus.elements()))} too many"]
            samples += [f"missing {one[:300]}" for one in list(missing)[:1]]
            samples += [f"found {one[:300]}" for one in list(surplus)[:1]]
            raise Wrong(f"{which}: {poll}: " + ", ".join(samples))

    def rows(self, views, poll):
        """The records that the view of a poll shows, and the kinds of its columns."""
        db = duckdb.connect()
        db.execute("SET autoinstall_known_extensions = false; SET TimeZone = 'UTC'; SET threads = 1")
        try:
            db.execute(views)
            result = db.execute(f'SELECT * FROM "{poll}"')
        except duckdb.Error as error:
            raise Wrong(f"DuckDB: {error}") from None
        names = [(column[0], str(column[1])) for column in result.description]
        kinds = {name: kind for name, kind in names if name not in OWN}
        return [record_of(row, names) for row in result.fetchall()], kinds


def uneconomical(sent):
    """What is wrong unless the second and the third run have asked for what is new only."""
    first, second, third = sent
    if not first or not second:
        return f"runs were sent {sent} records: the fake does not count them"
    if second >= first or third * 2 > first:
        return f"runs were sent {sent} records: later ones do not ask for changes only"
    return None


def record_of(row, names):
    """The record as it was sent: columns, and what has none, under `extra`."""
    record = {}
    for (name, kind), value in zip(names, row):
        if name == "extra":
            extra = json.loads(value, parse_float=decimal.Decimal) if value else {}
            record.update(extra)
        elif name not in OWN and value is not None:
            record[name] = json.loads(value, parse_float=decimal.Decimal) if kind == "JSON" else value
    return record


def canonical(record, kinds):
    """One text for equal records. Absent and null are equal in a column, as SQL has but one null."""
    plain = {}
    for name, value in record.items():
        if value is not None:
            plain[name] = simple(value, kinds.get(name, ""))
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def simple(value, kind=""):
    if isinstance(value, str) and kind.startswith("TIMESTAMP"):
        value = datetime.datetime.fromisoformat(re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", value))
    if isinstance(value, datetime.datetime):
        value = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return value.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float, decimal.Decimal)):
        # Digits as sent; a column of doubles holds the nearest double.
        number = decimal.Decimal(repr(value)) if isinstance(value, float) else decimal.Decimal(value)
        if kind == "DOUBLE":
            number = decimal.Decimal(repr(float(number)))
        return f"number {number.normalize():f}"
    if isinstance(value, dict):
        return {key: simple(one) for key, one in value.items()}
    return [simple(one) for one in value]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--changes", type=pathlib.Path, help="JSON: a list of [name, old, new]")
    parser.add_argument("--workers", type=int, default=4)
    arguments = parser.parse_args()
    control = Control()
    try:
        if arguments.changes:
            trials = json.loads(arguments.changes.read_text())
        else:
            trials = [[name, None, None] for name in arguments.only or control.json("/names")]

        def tried(numbered):
            number, (name, old, new) = numbered
            directory = arguments.work / f"{number}-{name}"
            change = (old, new) if old is not None else None
            trial = Trial(control, arguments.program, name, directory, change)
            return {"name": name, **trial.result()}

        with concurrent.futures.ThreadPoolExecutor(arguments.workers) as pool:
            for result in pool.map(tried, enumerate(trials)):
                print(json.dumps(result, ensure_ascii=False), flush=True)
    finally:
        control.stop()


if __name__ == "__main__":
    main()
