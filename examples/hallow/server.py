"""The data server: pushes events to a webhook, and serves users and content.

    server.py DIR --listen PORT [--host ADDRESS] --webhook URL [--pause 2-5] [--pace 1]

DIR is what generate.py made. A request is pushed until it is answered with 200, as a sender should; between two
requests it pauses for 2 to 5 seconds, divided by the pace. GET /pushed tells how many requests are answered.
"""

import argparse
import json
import pathlib
import random
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MOST_PER_PAGE = 200


class Data:
    def __init__(self, directory):
        directory = pathlib.Path(directory)
        self.users = json.loads((directory / "users.json").read_text())
        self.content = json.loads((directory / "content.json").read_text())
        self.requests = (directory / "events.ndjson").read_bytes().splitlines()
        self.pushed = 0
        self.answers = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    data = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        pages = {"/api/users": self.users, "/api/content": self.content, "/pushed": self.pushed}
        page = pages.get(url.path)
        if page is None:
            return self.answer(404, {"error": "there is no such page"})
        try:
            return self.answer(200, page(query))
        except ValueError:
            return self.answer(400, {"error": "offset and limit are whole numbers, at least 0"})

    def users(self, query):
        offset, limit = int(query.get("offset", 0)), int(query.get("limit", MOST_PER_PAGE))
        if offset < 0 or limit < 0:
            raise ValueError
        users = self.data.users
        page = users[offset : offset + min(limit, MOST_PER_PAGE)]
        end = offset + len(page)
        has_more = end < len(users)
        return {
            "users": page,
            "total_users": len(users),
            "has_more": has_more,
            "next_offset": end if has_more else -1,
        }

    def content(self, _):
        return {"content": self.data.content, "total_content": len(self.data.content)}

    def pushed(self, _):
        return {"pushed": self.data.pushed, "of": len(self.data.requests), "answers": self.data.answers}

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def push(data, url, pauses, pace):
    """Sends all requests one after the other."""
    chance = random.Random(1)
    for body in data.requests:
        while True:
            request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    data.answers.append(json.load(answer))
                break
            except urllib.error.HTTPError as error:
                print(f"answered {error.code}: {error.read()[:500]!r}", flush=True)
                if error.code in (400, 413, 422):
                    break
            except (urllib.error.URLError, OSError, json.JSONDecodeError) as error:
                print(f"not answered: {error}", flush=True)
            time.sleep(0.2)
        data.pushed += 1
        time.sleep(chance.uniform(*pauses) / pace)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--listen", type=int, default=9090, help="the port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--webhook", required=True)
    parser.add_argument("--pause", default="2-5", help="seconds between two requests, least and most")
    parser.add_argument("--pace", type=float, default=1.0, help="divides the pauses")
    asked = parser.parse_args()
    data = Handler.data = Data(asked.directory)
    pauses = [float(text) for text in asked.pause.split("-")]
    pusher = threading.Thread(target=push, args=(data, asked.webhook, pauses, asked.pace), daemon=True)
    pusher.start()
    ThreadingHTTPServer((asked.host, asked.listen), Handler).serve_forever()


if __name__ == "__main__":
    main()
