"""Makes files of one advocate each, as a campaign's tools write them, from a seed, and counts what they say.

    generate.py DIRECTORY [--files N]

Two in a hundred are no JSON, a few have another structure, and placeholders stand where values should be. Beside them
are files of macOS, and some files are byte-identical although they are of different advocates.
"""

import argparse
import collections
import json
import pathlib
import random
import uuid

BRANDS = ["Aurora", "Borealis", "Cirrus", "Dune", "Ember"]
PLATFORMS = ["Instagram", "TikTok", "YouTube"]
NUMBERS = ["likes", "comments", "shares", "reach"]


class Campaign:
    def __init__(self, directory, files):
        self.dir, self.files, self.random = directory, files, random.Random(5)
        self.brands = {brand: collections.Counter() for brand in BRANDS}
        self.platforms = collections.Counter()
        self.quality = collections.Counter()
        self.sales = {}          # cents by advocate's file

    def uuid(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def make(self):
        """Writes all files; the last tenth is `late`."""
        watch, late = self.dir / "watch", self.dir / "late"
        watch.mkdir(parents=True)
        late.mkdir()
        before = None
        for number in range(1, self.files + 1):
            target = (late if number > self.files * 9 // 10 else watch) / f"advocate_{number:05d}.json"
            chance = self.random.random()
            if number % 500 == 0 and before:
                # Another advocate's file with the same bytes.
                text, advocate = before
            else:
                advocate = self.advocate(number)
                text = json.dumps(advocate, indent=1)
            before = (text, advocate)
            if chance < 0.02:
                text, before = text.rstrip()[:-1], None
                self.quality["not_json"] += 1
            elif chance < 0.025:
                text, before = json.dumps({**advocate, "advocacy_programs": "none yet"}, indent=1), None
                self.quality["other_structure"] += 1
            else:
                self.count(target.name, advocate)
            target.write_text(text, encoding="utf-8")
            if number % 100 == 0:
                (target.parent / f"._{target.name}").write_bytes(b"\x00\x05\x16\x07 Mac OS X")
        return self.expected()

    def maybe(self, value, placeholder):
        if self.random.random() < 0.02:
            return placeholder
        return value

    def advocate(self, number):
        programs = [self.program() for _ in range(self.random.choice([1, 1, 1, 2]))]
        return {
            "user_id": self.maybe(self.uuid(), None),
            "name": self.maybe(f"Åsa {number}", 12345),
            "email": self.maybe(f"a{number}@example.com", "invalid-email"),
            "instagram_handle": self.maybe(f"@advocate{number}", "???"),
            "joined_at": self.maybe(f"2025-{number % 12 + 1:02d}-{number % 28 + 1:02d}T08:30:00Z", "not-a-date"),
            "advocacy_programs": programs,
        }

    def program(self):
        cents = self.random.randrange(500_000)
        return {
            "program_id": self.uuid(),
            "brand": self.random.choice(BRANDS),
            "tasks_completed": [self.task() for _ in range(self.random.choice([1, 1, 2, 3]))],
            "total_sales_attributed": self.maybe(cents / 100, "no-data"),
        }

    def task(self):
        return {
            "task_id": self.uuid(),
            "platform": self.random.choice(PLATFORMS),
            "likes": self.maybe(self.random.randrange(1_000), "NaN"),
            "comments": self.random.randrange(100),
            "shares": self.random.randrange(50),
            "reach": self.maybe(self.random.randrange(10_000), -100),
        }

    def count(self, file, advocate):
        self.quality["rows"] += 1
        placeholders = {
            "without_id": advocate["user_id"] is None,
            "names_that_are_numbers": advocate["name"] == 12345,
            "addresses_that_are_none": advocate["email"] == "invalid-email",
            "handles_that_are_none": advocate["instagram_handle"] == "???",
            "dates_that_are_none": advocate["joined_at"] == "not-a-date",
        }
        for what, is_so in placeholders.items():
            self.quality[what] += is_so
        cents = 0
        for program in advocate["advocacy_programs"]:
            of_brand = self.brands[program["brand"]]
            of_brand["programs"] += 1
            if program["total_sales_attributed"] == "no-data":
                self.quality["sales_without_data"] += 1
            else:
                own = round(program["total_sales_attributed"] * 100)
                of_brand["sales_cents"] += own
                cents += own
            for task in program["tasks_completed"]:
                of_brand["tasks"] += 1
                self.platforms[task["platform"]] += 1
                for name in NUMBERS:
                    if isinstance(task[name], int) and task[name] >= 0:
                        of_brand[name] += task[name]
                    else:
                        self.quality["numbers_that_are_none"] += 1
        self.sales[file] = cents

    def expected(self):
        top = sorted(self.sales.items(), key=lambda own: (-own[1], own[0]))[:10]
        expected = {
            "files": self.files,
            "brands": {brand: dict(counts) for brand, counts in self.brands.items()},
            "platforms": dict(self.platforms),
            "quality": dict(self.quality),
            "top": [list(own) for own in top],
        }
        (self.dir / "expected.json").write_text(json.dumps(expected, indent=1))
        return expected


def generate(directory, files):
    return Campaign(pathlib.Path(directory), files).make()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--files", type=int, default=10_000)
    asked = parser.parse_args()
    generate(asked.directory, asked.files)
