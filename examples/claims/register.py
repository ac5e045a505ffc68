"""A register of companies, as sold by the request: it limits the rate, fails at times, and does not know everyone.

    register.py COMPANIES.json --listen PORT

GET /enrich/company?domain=… tells EIN, name and number of employees; GET /stats tells how often it was asked.
"""

import argparse
import collections
import json
import pathlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    companies = {}
    asked = collections.Counter()
    answered = collections.Counter()
    requests = 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/stats":
            self.answer(200, {"requests": Handler.requests, "domains": len(self.asked), "answered": self.answered})
            return
        domain = parse_qs(url.query)["domain"][0]
        with self.lock:
            Handler.requests += 1
            number = Handler.requests
            self.asked[domain] += 1
        if number % 10 == 7:
            self.answer(429, {"error": "slow down"}, {"Retry-After": "1"} if number % 20 == 7 else {"Retry-After": "0"})
        elif number % 25 == 13:
            self.answer(502, {"error": "bad gateway"})
        else:
            with self.lock:
                self.answered[domain] += 1
            company = self.companies.get(domain)
            self.answer(200 if company else 404, company or {"error": "no such company"})

    def answer(self, status, body, headers=None):
        body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("companies", type=pathlib.Path)
    parser.add_argument("--listen", type=int, required=True)
    asked = parser.parse_args()
    Handler.companies = json.loads(asked.companies.read_text())
    ThreadingHTTPServer(("127.0.0.1", asked.listen), Handler).serve_forever()
