"""A small API over the marts.

    api.py DATABASE --listen PORT

GET /brands, /platforms, /advocates (those with most sales) and /quality answer lists of JSON objects.
"""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import duckdb

MARTS = {"/brands": "brands", "/platforms": "platforms", "/advocates": "top_advocates", "/quality": "quality"}


class Handler(BaseHTTPRequestHandler):
    database = ""

    def log_message(self, *_):
        pass

    def do_GET(self):
        mart = MARTS.get(self.path)
        if mart is None:
            self.answer(404, {"error": f"there is {', '.join(MARTS)}"})
            return
        with duckdb.connect(self.database, read_only=True) as db:
            found = db.execute(f"FROM {mart}")
            names = [column[0] for column in found.description]
            self.answer(200, [dict(zip(names, row)) for row in found.fetchall()])

    def answer(self, status, body):
        body = json.dumps(body, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("database")
    parser.add_argument("--listen", type=int, required=True)
    asked = parser.parse_args()
    Handler.database = asked.database
    ThreadingHTTPServer(("127.0.0.1", asked.listen), Handler).serve_forever()
