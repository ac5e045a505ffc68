"""A sample attribution API, with the quirks of real ones.

    api.py --listen PORT

`POST /v1/compute?conv_type_id=…` with `x-api-key` takes at most 100 journeys and 200 sessions. Some requests are
answered 429 or 502; of some the answer is lost after the work was done. Journeys that it cannot attribute are
failures within an answer of status 200. GET /stats tells what it was sent.
"""

import argparse
import collections
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

KEY = "sample-key-0123456789"
MOST_JOURNEYS, MOST_SESSIONS = 100, 200
FIELDS = {
    "conversion_id",
    "session_id",
    "timestamp",
    "channel_label",
    "holder_engagement",
    "closer_engagement",
    "conversion",
    "impression_interaction",
}


def weight(holder, closer, is_last):
    """How much a session counts within its journey."""
    return 1 + holder + 2 * closer + 3 * is_last


class Stats:
    def __init__(self):
        self.lock = threading.Lock()
        self.requests = 0
        self.bodies = {}
        # The keys under which each journey was sent.
        self.keys = collections.defaultdict(set)

    def shown(self):
        with self.lock:
            return {
                "requests": self.requests,
                "keys": len(self.bodies),
                "journeys": len(self.keys),
                "under_two_keys": sorted(name for name, keys in self.keys.items() if len(keys) > 1),
            }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stats = Stats()

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(200, self.stats.shown())

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        if self.headers.get("x-api-key") != KEY:
            return self.answer(403, {"message": "Forbidden"})
        if url.path != "/v1/compute" or "conv_type_id" not in parse_qs(url.query):
            return self.answer(404, {"message": "Not Found"})
        with self.stats.lock:
            number = self.stats.requests
            self.stats.requests += 1
        if number % 6 == 1:
            return self.answer(429, {"message": "Too Many Requests"}, {"Retry-After": "0.2"})
        if number % 6 == 2:
            return self.answer(502, {"message": "Bad Gateway"})
        status, value = self.compute(body)
        if number % 6 == 4:
            # The work is done, and nobody learns of it.
            self.close_connection = True
            return self.connection.close()
        self.answer(status, value)

    def compute(self, body):
        rows = json.loads(body)["customer_journeys"]
        journeys = collections.defaultdict(list)
        for row in rows:
            journeys[row["conversion_id"]].append(row)
        if len(journeys) > MOST_JOURNEYS or len(rows) > MOST_SESSIONS:
            return 400, {"message": "at most 100 journeys and 200 sessions"}
        if any(set(row) != FIELDS for row in rows):
            return 400, {"message": f"a session has {sorted(FIELDS)}"}
        key = self.headers.get("Idempotency-Key")
        with self.stats.lock:
            if self.stats.bodies.setdefault(key, body) != body:
                return 422, {"message": "this key had another body"}
            for name in journeys:
                self.stats.keys[name].add(key)
        value, failures = [], []
        for name, sessions in journeys.items():
            if any(one["channel_label"] == "Unknown" for one in sessions):
                failures.append({"conversion_id": name, "errorMessage": "a channel is not configured"})
                continue
            weights = [weight(one["holder_engagement"], one["closer_engagement"], one["conversion"]) for one in sessions]
            for one, own in zip(sessions, weights):
                share = own / sum(weights)
                value.append({"conversion_id": name, "session_id": one["session_id"], "ihc": share})
        status = 206 if failures else 200
        return 200, {"statusCode": status, "value": value, "partialFailureErrors": failures}

    def answer(self, status, value, headers=None):
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--listen", type=int, default=9191, help="the port")
    ThreadingHTTPServer(("127.0.0.1", parser.parse_args().listen), Handler).serve_forever()
