"""Runs the whole example and compares its numbers with the independent count.

    run.py [--small] [--dir DIR]

Files into the lake and companies from the register, both killed once in the middle; then the models, each also as CSV.
A second run must read nothing new, ask for nothing, and change no byte of the lake and of the results.
"""

import collections
import csv
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

import duckdb

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import chart
import generate
import lab

HERE = pathlib.Path(__file__).resolve().parent
INBOXES = {"claims": "claims/*.csv", "claims_feed": "feed/*.ndjson", "plans": "plans/*.tsv.gz", "employees": "employees/*.csv"}
RESULTS = ["plan_gaps", "claim_spikes", "roster_mismatch", "validation_errors", "employees_enriched"]


class Example:
    def __init__(self, directory):
        self.dir = directory
        self.register = f"http://127.0.0.1:{lab.free_port()}"
        self.environment = lab.environment(
            HERE,
            directory,
            LAKEHOOK_API__REGISTER__URL=self.register,
            LAKEHOOK_CALL__COMPANY__ROWS=str(directory / "outbox" / "domains.ndjson"),
        )
        for stream, pattern in INBOXES.items():
            self.environment[f"LAKEHOOK_FILES__{stream.upper()}__PATH"] = str(directory / "inbox" / pattern)

    def lakehook(self, *words):
        return lab.run([lab.lakehook(), *words], env=self.environment)

    def killed(self, word, is_time):
        """A command that is killed as soon as it is time."""
        process = subprocess.Popen(
            [lab.lakehook(), word], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not is_time():
            time.sleep(0.002)
        process.kill()
        process.wait()

    def has_object(self):
        return any((self.dir / "lake").glob("*/dt=*/run=*/*"))

    def asked(self):
        return json.loads(lab.fetch(f"{self.register}/stats"))

    def connect(self):
        db = duckdb.connect(str(self.dir / "claims.duckdb"))
        db.execute("SET TimeZone = 'UTC'")
        db.execute(self.lakehook("sql", "duckdb"))
        return db

    def write_outbox(self):
        """The domains of all addresses, under their name only once they are complete."""
        outbox = self.dir / "outbox"
        outbox.mkdir(exist_ok=True)
        with self.connect() as db:
            query = "SELECT DISTINCT split_part(email, '@', 2) AS domain FROM employees ORDER BY 1"
            db.execute(f"COPY ({query}) TO '{outbox / '.domains'}' (FORMAT json)")
        os.replace(outbox / ".domains", outbox / "domains.ndjson")

    def models(self):
        """Runs the models; each result is a CSV file too."""
        results = self.dir / "results"
        results.mkdir(exist_ok=True)
        with self.connect() as db:
            for model in sorted((HERE / "models").glob("*.sql")):
                db.execute(model.read_text())
            for name in RESULTS:
                db.execute(f"COPY (FROM {name}) TO '{results / name}.csv' (HEADER)")
            counts = {stream: db.execute(f"SELECT count(*) FROM {stream}").fetchone()[0] for stream in INBOXES}
            types = db.execute("SELECT typeof(service_date), typeof(amount) FROM claims LIMIT 1").fetchone()
            without = db.execute("SELECT count(*) FROM employees_enriched WHERE ein IS NULL").fetchone()[0]
            unknown = db.execute("SELECT domain FROM company WHERE ein IS NULL ORDER BY 1").fetchall()
        return {"rows": counts, "types": list(types), "without": without, "unknown": [domain for (domain,) in unknown]}

    def check(self, expected):
        said = self.lakehook("audit")
        found = self.models()
        lab.compare("rows", found["rows"], expected["rows"])
        lab.compare("repeated rows", f"{expected['repeats']} repeats" in said, True)
        lab.compare("types of a date and of an amount", found["types"], ["DATE", "DECIMAL(12,2)"])
        errors = [[row[0], row[1], int(row[2]), row[3], row[4]] for row in self.rows("validation_errors")]
        lab.compare("validation errors, by file, line, column and rule", sorted(errors), expected["errors"])
        lab.compare("domains that nobody knows", found["unknown"], expected["unknown_domains"])
        lab.compare("employees without a company", found["without"], expected["employees_without_company"])
        gaps = [[*row[:4], int(row[4])] for row in self.rows("plan_gaps")]
        lab.compare("plan gaps", sorted(gaps), sorted(expected["plan_gaps"]))
        spikes = [[ein, cents(current), cents(previous)] for ein, current, previous, _ in self.rows("claim_spikes")]
        lab.compare("claim spikes", spikes, expected["claim_spikes"])
        rosters = [[ein, name, int(wanted), int(count), how] for ein, name, wanted, count, how in self.rows("roster_mismatch")]
        lab.compare("roster mismatches", rosters, expected["roster_mismatch"])
        lab.compare("answers that were paid for", sum(self.asked()["answered"].values()) - expected["domains"] <= 1, True)

    def picture(self):
        """The results as a picture."""
        rules = collections.Counter((row[0], row[4]) for row in self.rows("validation_errors"))
        refused = [(f"{stream}: {rule}", [count]) for (stream, rule), count in rules.most_common()]
        spikes = [(ein, [float(now), float(before)]) for ein, now, before, _ in self.rows("claim_spikes")[:8]]
        gaps = collections.Counter()
        for row in self.rows("plan_gaps"):
            gaps[row[1]] += int(row[4])
        panels = [
            ("Refused records, by stream and rule", ["records"], refused),
            ("Claim spikes, by company", ["last 90 days", "90 days before"], spikes),
            ("Days without a plan, by type of plan", ["days"], [(kind, [days]) for kind, days in gaps.most_common()]),
        ]
        chart.bars(self.dir / "result.svg", "Claims: what the exports held", panels)

    def rows(self, name):
        with open(self.dir / "results" / f"{name}.csv", newline="", encoding="utf-8") as file:
            return list(csv.reader(file))[1:]

    def bytes(self):
        """A hash of everything in the lake and of the results."""
        whole = hashlib.sha256()
        for top in ("lake", "results"):
            for path in sorted((self.dir / top).rglob("*")):
                if path.is_file():
                    whole.update(f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return whole.hexdigest()


def cents(text):
    return round(float(text) * 100)


def main():
    asked = lab.asked(__doc__, HERE, "fewer companies")
    directory = asked.dir
    expected = generate.generate(directory, 40 if asked.small else 400)
    example = Example(directory)
    with lab.Processes() as processes:
        command = [sys.executable, HERE / "register.py", directory / "companies.json"]
        command += ["--listen", example.register.rsplit(":", 1)[1]]
        process = processes.start(command, directory / "register.log")
        lab.wait_until(f"{example.register}/stats", process)
        example.killed("files", example.has_object)
        print(example.lakehook("files").strip())
        example.write_outbox()
        example.killed("call", lambda: example.asked()["requests"] > expected["domains"] // 2)
        print(example.lakehook("call").strip())
        example.check(expected)
        print("again")
        example.picture()
        before, requests = example.bytes(), example.asked()["requests"]
        print(example.lakehook("files").strip())
        example.write_outbox()
        print(example.lakehook("call").strip())
        example.check(expected)
        lab.compare("requests of the second run", example.asked()["requests"] - requests, 0)
        lab.compare("bytes of the lake and of the results", example.bytes(), before)
    print(f"claims: everything adds up. The results are in {directory / 'results'}")


if __name__ == "__main__":
    lab.main(main)
