"""Makes a SQLite database of sessions, conversions and costs, and counts what the report must say.

    generate.py DIR [--seed N] [--users N]

DIR gets shop.sqlite and expected.json, the independent count: plain Python, from the same draws.
"""

import argparse
import collections
import datetime
import json
import pathlib
import random
import sqlite3

# `weight` is the attribution API's own rule, which the count must apply too.
import api

CHANNELS = ["Affiliate", "Direct", "Email", "Organic", "Paid Search", "Social"]
FIRST = datetime.datetime(2026, 1, 1)
DAYS = 28
TABLES = """
CREATE TABLE sessions (session_id TEXT PRIMARY KEY, user_id TEXT, event_date TEXT, event_time TEXT,
    channel_name TEXT, holder_engagement INTEGER, closer_engagement INTEGER, impression_interaction INTEGER);
CREATE TABLE conversions (conv_id TEXT PRIMARY KEY, user_id TEXT, conv_date TEXT, conv_time TEXT, revenue REAL);
CREATE TABLE costs (session_id TEXT PRIMARY KEY, cost REAL);
"""


def day_and_time(moment):
    return moment.strftime("%Y-%m-%d"), moment.strftime("%H:%M:%S")


class Shop:
    def __init__(self, seed, users):
        self.random = random.Random(seed)
        self.sessions, self.conversions, self.costs = [], [], {}
        for number in range(users):
            self.user(f"u{number:05}")

    def moment(self):
        return FIRST + datetime.timedelta(seconds=self.random.randrange(DAYS * 86_400))

    def user(self, user):
        chance = self.random
        for number in range(chance.choice([0, 1, 2, 3, 4, 5, 8, 12])):
            channel = chance.choice(CHANNELS)
            if chance.random() < 0.01:
                # The API cannot attribute sessions of this channel, and says so within its answer.
                channel = "Unknown"
            session = {
                "session_id": f"{user}-s{number}",
                "user_id": user,
                "at": self.moment(),
                "channel_name": channel,
                "holder_engagement": chance.randint(0, 1),
                "closer_engagement": chance.randint(0, 1),
                "impression_interaction": chance.randint(0, 1),
            }
            self.sessions.append(session)
            if chance.random() < 0.8:
                self.costs[session["session_id"]] = chance.randrange(1, 500) / 100
        for number in range(chance.choice([0, 0, 1, 1, 2])):
            self.conversions.append(
                {
                    "conv_id": f"{user}-c{number}",
                    "user_id": user,
                    "at": self.moment(),
                    "revenue": chance.randrange(100, 50_000) / 100,
                }
            )

    def write(self, path):
        with sqlite3.connect(path) as db:
            db.executescript(TABLES)
            for one in self.sessions:
                values = [one["session_id"], one["user_id"], *day_and_time(one["at"]), one["channel_name"]]
                values += [one["holder_engagement"], one["closer_engagement"], one["impression_interaction"]]
                db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            for one in self.conversions:
                values = [one["conv_id"], one["user_id"], *day_and_time(one["at"]), one["revenue"]]
                db.execute("INSERT INTO conversions VALUES (?, ?, ?, ?, ?)", values)
            db.executemany("INSERT INTO costs VALUES (?, ?)", self.costs.items())
        db.close()

    def journeys(self):
        """The sessions of each conversion's user up to it, in order; conversions without any have no journey."""
        of_user = collections.defaultdict(list)
        for session in self.sessions:
            of_user[session["user_id"]].append(session)
        for conversion in self.conversions:
            before = [one for one in of_user[conversion["user_id"]] if one["at"] <= conversion["at"]]
            if before:
                yield conversion, sorted(before, key=lambda one: (one["at"], one["session_id"]))

    def count(self):
        ihc, revenue = collections.Counter(), collections.Counter()
        answered, failed, shares = 0, [], 0
        for conversion, sessions in self.journeys():
            if any(one["channel_name"] == "Unknown" for one in sessions):
                failed.append(conversion["conv_id"])
                continue
            answered += 1
            weights = [
                api.weight(one["holder_engagement"], one["closer_engagement"], one is sessions[-1]) for one in sessions
            ]
            for one, weight in zip(sessions, weights):
                share = weight / sum(weights)
                place = (one["channel_name"], day_and_time(one["at"])[0])
                ihc[place] += share
                revenue[place] += share * conversion["revenue"]
                shares += 1
        cost = collections.Counter()
        for session in self.sessions:
            place = (session["channel_name"], day_and_time(session["at"])[0])
            cost[place] += round(self.costs.get(session["session_id"], 0) * 100)
        report = {}
        for channel, day in sorted(cost):
            own, spent = ihc[channel, day], cost[channel, day] / 100
            report[f"{channel} {day}"] = {
                "cost": round(spent, 2),
                "ihc": round(own, 6),
                "ihc_revenue": round(revenue[channel, day], 4),
                "cpo": round(spent / own, 4) if own else None,
                "roas": round(revenue[channel, day] / spent, 4) if spent else None,
            }
        return {
            "journeys": answered + len(failed),
            "answered": answered,
            "failed": sorted(failed),
            "rows": shares,
            "report": report,
        }


def generate(directory, seed=7, users=400):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    shop = Shop(seed, users)
    shop.write(directory / "shop.sqlite")
    expected = shop.count()
    (directory / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True))
    return expected


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--users", type=int, default=400)
    asked = parser.parse_args()
    generate(asked.directory, asked.seed, asked.users)
