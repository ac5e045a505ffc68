"""Makes the data of the sample, and counts it: the same for the same seed and day.

    generate.py DIR [--seed N] [--day 2026-01-31] [--users N] [--content N] [--sessions N] [--batches N]

DIR gets users.json and content.json (what the API serves), users.csv, content.csv and sessions.csv (what the
bucket holds), events.ndjson (one request per line, as it is pushed) and expected.json (the independent count).
"""

import argparse
import collections
import csv
import datetime
import json
import pathlib
import random
import uuid

TYPES = ["view", "like", "share", "click", "pray", "purchase", "signup"]
SOURCES = ["web", "apple", "android"]
PRAYER_TYPES = ["academic", "podcast", "reflection", "lectio_divina", "rosary", "meditation"]
MEDIA_TYPES = ["text", "video", "audio"]
COUNTRIES = ["BR", "DE", "ES", "FR", "GB", "IT", "MX", "PL", "PT", "US"]
NAMES = ["Ada", "Bruno", "Chiara", "Dmitri", "Elena", "Fatima", "Inês", "Jonas", "Kofi", "Lucía"]
AGE_GROUPS = [(18, 24, "18-24"), (25, 34, "25-34"), (35, 44, "35-44"), (45, 54, "45-54"), (55, 64, "55-64")]
# Of a local time: minutes east of UTC.
OFFSETS = [-480, -300, 0, 60, 330, 540]


def local(moment, minutes):
    """A time as senders write it: RFC 3339 with their own offset."""
    zone = datetime.timezone(datetime.timedelta(minutes=minutes))
    return moment.astimezone(zone).isoformat(timespec="milliseconds")


class World:
    """Everything that is random, drawn in one order from one seed."""

    def __init__(self, asked):
        self.random = random.Random(asked.seed)
        self.asked = asked
        # Events happen in the two days before noon of the day.
        self.now = datetime.datetime.combine(asked.day, datetime.time(), datetime.timezone.utc)
        self.users = [self.user() for _ in range(asked.users)]
        self.content = [self.item(number) for number in range(asked.content)]

    def id(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def user(self):
        chance = self.random
        user = {
            "user_id": self.id(),
            "name": f"{chance.choice(NAMES)} {chance.choice(NAMES)}son",
            "email": f"User.{chance.randrange(10**6)}@Example.com",
            "age": chance.choice([None, *range(13, 95)]) if chance.random() < 0.1 else chance.randint(18, 90),
            "status": chance.choice(["active", "inactive", "trial"]),
            "country": chance.choice(COUNTRIES),
            "created_at": local(self.now - datetime.timedelta(days=chance.randrange(1, 900)), chance.choice(OFFSETS)),
        }
        if chance.random() < 0.1:
            del user["name"]
        return user

    def item(self, number):
        chance = self.random
        return {
            "content_id": self.id(),
            "title": f"Item {number}, \"{chance.choice(NAMES)}\"",
            "media_type": chance.choice(MEDIA_TYPES),
            "prayer_type": chance.choice(PRAYER_TYPES),
            "duration_seconds": chance.randint(60, 3600),
        }

    def session(self):
        chance = self.random
        start = self.now - datetime.timedelta(seconds=chance.randrange(30 * 86_400))
        return {
            "session_id": self.id(),
            "user_id": chance.choice(self.users)["user_id"],
            # Some prayer types are liked more than others, or all counts would be close to equal.
            "content_id": self.content[int(chance.random() ** 2 * len(self.content))]["content_id"],
            "started_at": local(start, chance.choice(OFFSETS)),
            "duration_seconds": chance.randint(5, 5400),
        }

    def event(self):
        chance = self.random
        kind = chance.choice(TYPES)
        moment = self.now - datetime.timedelta(milliseconds=chance.randrange(2 * 86_400_000))
        user = chance.choice(self.users)
        event = {
            "event_id": self.id(),
            "user_id": chance.choice([user["user_id"], None, user]),
            "event_type": kind,
            "source": chance.choice(SOURCES),
            "timestamp": local(moment, chance.choice(OFFSETS)),
            "properties": {},
        }
        if kind in ("view", "like", "share"):
            item = chance.choice(self.content)
            event["properties"] = {key: item[key] for key in ("content_id", "media_type", "prayer_type")}
        elif kind == "purchase":
            event["properties"] = {"amount": round(chance.uniform(1, 200), 2), "product_id": f"p-{chance.randrange(50)}"}
        elif kind == "signup" and chance.random() < 0.5:
            self.spoil(event)
        return event

    def spoil(self, event):
        """Signups are malformed at times."""
        flaw = self.random.randrange(5)
        if flaw == 0:
            event["event_id"] = "not-a-uuid"
        elif flaw == 1:
            del event["timestamp"]
        elif flaw == 2:
            event["source"] = 7
        elif flaw == 3:
            event["properties"] = "none"
        else:
            event["user_id"] = {"name": "nobody"}

    def batch(self):
        events = [self.event() for _ in range(self.random.randint(1, 10))]
        # About three in a hundred are there twice.
        return events + [event for event in events if self.random.random() < 0.03]


def write_csv(path, rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def age_group(age):
    if age is None or age < 18:
        return None
    return next((name for low, high, name in AGE_GROUPS if low <= age <= high), "65+")


def count_events(batches):
    """What must be in the lake of the events: each once, but for signups, which are dropped."""
    stored, dropped, repeats = {}, 0, 0
    for batch in batches:
        for event in batch:
            if event["event_type"] == "signup":
                dropped += 1
            elif event["event_id"] in stored:
                repeats += 1
            else:
                stored[event["event_id"]] = event
    by_day = collections.Counter()
    revenue = collections.Counter()
    for event in stored.values():
        moment = datetime.datetime.fromisoformat(event["timestamp"]).astimezone(datetime.timezone.utc)
        by_day[f"{moment.date()} {event['event_type']} {event['source']}"] += 1
        if event["event_type"] == "purchase":
            revenue[str(moment.date())] += round(event["properties"]["amount"] * 100)
    users = [event["user_id"] for event in stored.values()]
    return {
        "events": len(stored),
        "dropped": dropped,
        "repeats": repeats,
        "events_by_day": dict(by_day),
        "revenue_cents": dict(revenue),
        "events_without_user": users.count(None),
        "events_with_user_object": sum(isinstance(user, dict) for user in users),
    }


def top_prayer_types(users, content, sessions):
    """The five prayer types with the most sessions in each age group; ties by name."""
    ages = {user["user_id"]: age_group(user["age"]) for user in users}
    prayers = {item["content_id"]: item["prayer_type"] for item in content}
    counts = collections.defaultdict(collections.Counter)
    for session in sessions:
        group = ages[session["user_id"]]
        if group is not None:
            counts[group][prayers[session["content_id"]]] += 1
    rows = []
    for group in sorted(counts):
        ranked = sorted(counts[group].items(), key=lambda pair: (-pair[1], pair[0]))
        rows += [[group, prayer, count, rank] for rank, (prayer, count) in enumerate(ranked[:5], 1)]
    return rows


def generate(directory, asked):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    world = World(asked)
    sessions = [world.session() for _ in range(asked.sessions)]
    batches = [world.batch() for _ in range(asked.batches)]
    for name, rows in [("users", world.users), ("content", world.content)]:
        (directory / f"{name}.json").write_text(json.dumps(rows))
        write_csv(directory / f"{name}.csv", rows)
    write_csv(directory / "sessions.csv", sessions)
    with open(directory / "events.ndjson", "w", encoding="utf-8") as file:
        for batch in batches:
            file.write(json.dumps({"events": batch}, ensure_ascii=False) + "\n")
    expected = {
        **count_events(batches),
        "users": len(world.users),
        "content": len(world.content),
        "sessions": len(sessions),
        "top_5_prayer_types_per_age_group": top_prayer_types(world.users, world.content, sessions),
    }
    (directory / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True))
    return expected


def arguments(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--seed", type=int, default=7)
    today = datetime.datetime.now(datetime.timezone.utc).date()
    parser.add_argument("--day", type=datetime.date.fromisoformat, default=today, help="events are before its noon")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--content", type=int, default=1_000)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--batches", type=int, default=200, help="requests that are pushed")
    return parser.parse_args(words)


if __name__ == "__main__":
    asked = arguments()
    generate(asked.directory, asked)
