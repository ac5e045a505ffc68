"""Runs the whole example and compares its numbers with the independent count.

    run.py [--small] [--dir DIR]

The first nine tenths of the files are taken by a look that is killed half-way and by another one; the rest comes into
the folder while lakehook watches it. dbt makes marts and judges quality, an API and a dashboard show them. Another
look must find nothing new. Without --small all files are also taken at once into a lake of their own, in less than
30 seconds.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import duckdb

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import generate
import lab

HERE = pathlib.Path(__file__).resolve().parent
MOST_SECONDS = 30


class Example:
    def __init__(self, directory):
        self.dir = directory
        self.database = directory / "campaign.duckdb"
        self.environment = self.place(directory)
        self.environment |= {"LAKEHOOK": lab.lakehook(), "CAMPAIGN_DB": str(self.database)}

    def place(self, directory):
        files = str(self.dir / "watch" / "*.json")
        return lab.environment(HERE, directory, LAKEHOOK_FILES__ADVOCATES__PATH=files)

    def lakehook(self, *words):
        return lab.run([lab.lakehook(), *words], env=self.environment)

    def killed(self):
        """A look that is killed once some of its files are visible."""
        command = [lab.lakehook(), "files"]
        process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and self.runs() < 1:
            time.sleep(0.002)
        process.kill()
        process.wait()

    def runs(self):
        return len(list((self.dir / "lake" / "_lakehook" / "runs" / "advocates").glob("*.json")))

    def visible(self):
        """The files that runs name."""
        names = set()
        for marker in (self.dir / "lake" / "_lakehook" / "runs" / "advocates").glob("*.json"):
            names |= {file["name"] for file in json.loads(marker.read_text())["files"]}
        return names

    def watched(self, processes):
        """The late files come while lakehook watches the folder."""
        process = processes.start([lab.lakehook(), "files", "--follow"], self.dir / "watch.log", env=self.environment)
        late = sorted(path.name for path in (self.dir / "late").iterdir())
        for name in late:
            os.replace(self.dir / "late" / name, self.dir / "watch" / name)
        end = time.monotonic() + 300
        wanted = {name for name in late if not name.startswith(".")}
        while not wanted <= self.visible():
            if time.monotonic() > end or process.poll() is not None:
                raise lab.Failed(f"not all files were taken; see {self.dir / 'watch.log'}")
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        process.wait(60)

    def at_once(self, expected):
        """All files in one look, into a lake of its own."""
        start = time.monotonic()
        lab.run([lab.lakehook(), "files"], env={**self.environment, **self.place(self.dir / "at-once")})
        took = time.monotonic() - start
        print(f"  {expected['files']} files in {took:.1f} s")
        lab.compare(f"under {MOST_SECONDS} s", took < MOST_SECONDS, True)

    def check(self, expected):
        self.lakehook("audit")
        print(lab.run([sys.executable, HERE / "models.py"], env=self.environment).strip())
        quality = expected["quality"]
        with duckdb.connect(str(self.database), read_only=True) as db:
            one = lambda query: db.execute(query).fetchone()
            rows = [quality["rows"], quality["rows"]]
            lab.compare("rows, and files that they are from", list(one("SELECT count(*), count(DISTINCT file) FROM advocates")), rows)
            refused = quality["not_json"] + quality["other_structure"]
            query = "SELECT count(*), count(DISTINCT file), count(file), count(line), count(errors->>'$[0].code') FROM quarantine"
            lab.compare("refused, each with file, line and rule", list(one(query)), [refused] * 5)
            twins = "SELECT count(*) FROM advocates WHERE user_id IN (SELECT user_id FROM advocates GROUP BY 1 HAVING count(*) > 1)"
            lab.compare("files that are byte-identical, both there", one(twins)[0] > 0, True)
            names = ["programs", "tasks", *generate.NUMBERS]
            found = db.execute(f"SELECT brand, {', '.join(names)}, CAST(sales * 100 AS BIGINT) FROM brands").fetchall()
            found = {brand: dict(zip([*names, "sales_cents"], values)) for brand, *values in found}
            lab.compare("brands", found, expected["brands"])
            found = dict(db.execute("SELECT platform, tasks FROM platforms").fetchall())
            lab.compare("platforms", found, expected["platforms"])
            found = db.execute("SELECT file, CAST(sales * 100 AS BIGINT) FROM top_advocates").fetchall()
            lab.compare("advocates with most sales", [list(row) for row in found], expected["top"])
            found = dict(db.execute("SELECT what, number FROM quality").fetchall())
            lab.compare("quality", found, {what: quality.get(what, 0) for what in found})

    def check_pages(self, processes, expected):
        port = lab.free_port()
        processes.start([sys.executable, HERE / "api.py", self.database, "--listen", port], self.dir / "api.log")
        url = f"http://127.0.0.1:{port}"
        brands = json.loads(lab.wait_until(f"{url}/brands"))
        tasks = sum(brand["tasks"] for brand in expected["brands"].values())
        lab.compare("tasks that the API tells", sum(own["tasks"] for own in brands), tasks)
        environment = {**self.environment, "CAMPAIGN_API": url}
        said = lab.run([lab.venv(".venv-examples"), HERE / "shown.py"], env=environment)
        shown = json.loads(said[said.rindex("{") : said.rindex("}") + 1])
        lab.compare("tasks on the dashboard", shown["tasks"], f"{tasks:,}")
        refused = expected["quality"]["not_json"] + expected["quality"]["other_structure"]
        lab.compare("refused files on the dashboard", shown["files refused"], f"{refused:,}")


def main():
    asked = lab.asked(__doc__, HERE, "2500 files in place of 10 000")
    directory = asked.dir
    expected = generate.generate(directory, 2_500 if asked.small else 10_000)
    example = Example(directory)
    with lab.Processes() as processes:
        example.killed()
        print(example.lakehook("files").strip())
        example.watched(processes)
        example.check(expected)
        example.check_pages(processes, expected)
        print("again")
        before = example.runs()
        print(example.lakehook("files").strip())
        lab.compare("runs of the second pass", example.runs() - before, 0)
        example.check(expected)
        if not asked.small:
            example.at_once(expected)
    print(f"campaign: everything adds up. The marts are in {example.database}")


if __name__ == "__main__":
    lab.main(main)
