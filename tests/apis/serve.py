"""Serves the fakes, until its standard input ends.

Prints the port of the control server, which answers:

    GET  /names                  the names of all fakes
    POST /start?api=NAME         a new one, with rows of its own: its number, port, and what is documented
    GET  /N/truth?poll=POLL      what a poll of that name must have brought, as NDJSON
    POST /N/advance              changes, additions and deletions
    POST /N/arm                  a list of faults for the next requests: a status, "cut", or null for none
    GET  /N/sent                 how many records were sent since the last question, and what was refused
    GET  /N/differences          where answers have another shape than the documented bodies
"""

import json
import sys
import urllib.parse

import chat
import clouds
import crm
import data
import fake
import files
import money
import people
import shops
import software
import work

MODULES = (chat, clouds, crm, data, files, money, people, shops, software, work)


def fakes():
    """The classes of all fakes, by name."""
    found = {}
    for module in MODULES:
        for name, item in vars(module).items():
            if isinstance(item, type) and issubclass(item, fake.Api) and item.title:
                found[item.name] = item
    return found


ALL = fakes()
RUNNING = []


def control(method, target, _headers, raw):
    url = urllib.parse.urlsplit(target)
    query = dict(urllib.parse.parse_qsl(url.query))
    try:
        if url.path == "/names":
            return fake.Answer(sorted(ALL))
        if url.path == "/start":
            return fake.Answer(start(query["api"]))
        _, number, what = url.path.split("/")
        api = RUNNING[int(number)]
        with api.lock:
            return fake.Answer(told(api, what, query, raw))
    except Exception as error:  # the test shows it
        return fake.Answer(f"{type(error).__name__}: {error}", status=500)


def start(name):
    api = ALL[name]()
    api.port = fake.serve(api.answer)
    api.origin = f"http://127.0.0.1:{api.port}"
    RUNNING.append(api)
    about = {
        key: getattr(api, key)
        for key in ("title", "origins", "document", "pages", "credentials", "filter")
    }
    return {"number": len(RUNNING) - 1, "port": api.port, "token": api.prefix + api.secret, **about}


def told(api, what, query, raw):
    if what == "truth":
        return "".join(json.dumps(record) + "\n" for record in api.truth(query["poll"]))
    if what == "advance":
        api.advance()
        return {}
    if what == "arm":
        api.faults = json.loads(raw)
        return {}
    if what == "sent":
        sent, refused = dict(api.sent), list(api.refusals)
        api.sent.clear()
        api.refusals.clear()
        return {"sent": sent, "refused": refused, "armed": api.faults}
    if what == "differences":
        return api.differences()
    raise ValueError(f"{what} is not known")


if __name__ == "__main__":
    print(fake.serve(control), flush=True)
    sys.stdin.read()
