"""What all fakes of APIs share: routes, parameters, credentials, faults, and rows that change.

A fake answers as the API's documentation says. What it is asked beyond that (a parameter that it does
not know, another header than the documented one) it refuses: an answer of 200 to a question that was
never understood would prove nothing. A fake knows nothing of who reads it.

The battery talks to a fake on another port, through `serve.py`: `truth` is what the API holds now,
`advance` changes it, `arm` makes the next answers fail.
"""

import base64
import collections
import datetime
import hmac
import json
import pathlib
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

UTC = datetime.timezone.utc
BEGIN = datetime.datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)
BODIES = pathlib.Path(__file__).parent / "bodies"


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status, text, headers=None):
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers or {}


class Answer:
    """Status, body and headers. A body that is neither bytes nor text is sent as JSON."""

    def __init__(self, body, headers=None, status=200, kind="application/json"):
        self.body, self.headers, self.status, self.kind = body, headers or {}, status, kind

    def bytes(self):
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str):
            return self.body.encode()
        return b"" if self.body is None else json.dumps(self.body, ensure_ascii=False).encode()


def route(method, path, body=None, guarded=True):
    """Marks a method as the answer to requests of that path; `{x}` stands for one segment.

    `body` names the documented body in `bodies/` whose shape the answers have.
    """
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))

    def mark(function):
        routes = getattr(function, "routes", [])
        function.routes = [*routes, (method, re.compile(pattern + r"\Z"), body, guarded)]
        return function

    return mark


# Times.


def iso(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_ms(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def epoch(moment):
    return int(moment.timestamp())


def epoch_ms(moment):
    return epoch(moment) * 1000


def read_iso(text, name="time", zone=True):
    """A time of RFC 3339, or the documented refusal of anything else."""
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise Refused(400, f"{name}: {text!r} is not a time of ISO 8601") from None
    if "T" not in text or (moment.tzinfo is None) == zone:
        raise Refused(400, f"{name}: {text!r} is not in the expected form")
    return moment if zone else moment.replace(tzinfo=UTC)


def read_time(text, pattern, name="time"):
    try:
        moment = datetime.datetime.strptime(text, pattern)
    except ValueError:
        raise Refused(400, f"{name}: {text!r} is not of the form {pattern}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_epoch(text, name="time", unit=1):
    """Seconds since 1970 (or thousandths, with a unit of 1000), within the years that make sense."""
    if not re.fullmatch(r"\d+", str(text)):
        raise Refused(400, f"{name}: {text!r} is not a whole number")
    seconds = int(text) / unit
    if not 0 <= seconds < 4_102_444_800:
        raise Refused(400, f"{name}: {text!r} is out of range")
    return datetime.datetime.fromtimestamp(seconds, UTC)


def matched(pattern, text, name="query"):
    """The groups of a text that must be of this form."""
    found = re.fullmatch(pattern, text or "")
    if not found:
        raise Refused(400, f"{name}: {text!r} was not understood")
    return found.groups()


class Ask:
    """A request. Parameters are taken by name; what nobody takes is refused."""

    def __init__(self, method, target, headers, raw):
        url = urllib.parse.urlsplit(target)
        self.method, self.path, self.target = method, urllib.parse.unquote(url.path), target
        self.headers, self.raw = headers, raw
        self.query = collections.OrderedDict()
        pairs = urllib.parse.parse_qsl(url.query, keep_blank_values=True)
        for name, value in pairs:
            if name in self.query:
                raise Refused(400, f"the parameter {name} is there twice")
            self.query[name] = value

    def take(self, name, default=None):
        return self.query.pop(name, default)

    def must(self, name):
        value = self.take(name)
        if value is None:
            raise Refused(400, f"the parameter {name} is missing")
        return value

    def fixed(self, name, *values):
        """A parameter that may be missing, and has one of these values otherwise."""
        value = self.take(name)
        if value is not None and value not in values:
            raise Refused(400, f"{name}: {value!r} is not one of {values}")
        return value

    def whole(self, name, default=None, low=0, high=10**18):
        text = self.take(name)
        if text is None:
            return default
        if not re.fullmatch(r"\d+", text) or not low <= int(text) <= high:
            raise Refused(400, f"{name}: {text!r} is not a whole number from {low} to {high}")
        return int(text)

    def json(self, *allowed):
        if self.headers.get("content-type", "").split(";")[0] != "application/json":
            raise Refused(415, "the content type must be application/json")
        try:
            body = json.loads(self.raw)
        except ValueError:
            raise Refused(400, f"the body is not JSON: {self.raw[:60]!r}") from None
        known(body, *allowed)
        return body

    def form(self, *allowed):
        if self.headers.get("content-type") != "application/x-www-form-urlencoded":
            raise Refused(415, "the content type must be that of a form")
        body = dict(urllib.parse.parse_qsl(self.raw.decode(), keep_blank_values=True))
        known(body, *allowed)
        return body


def known(body, *allowed):
    """Refuses a body with other members than these."""
    if not isinstance(body, dict):
        raise Refused(400, f"expected an object, got {body!r}")
    for name in body:
        if name not in allowed:
            raise Refused(400, f"unknown member {name}")
    return body


def graphql(ask, name, *variables):
    """The variables of a GraphQL request whose document is in `bodies/NAME.graphql`."""
    body = ask.json("query", "variables", "operationName")
    expected = (BODIES / f"{name}.graphql").read_text()
    if body.get("query", "").split() != expected.split():
        raise Refused(400, f"another query: {body.get('query')!r}")
    return known(body.get("variables") or {}, *variables)


# Credentials.


def bearer(secret, word="Bearer"):
    return lambda ask: same(ask.headers.get("authorization"), f"{word} {secret}")


def basic(user, password):
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return lambda ask: same(ask.headers.get("authorization"), f"Basic {text}")


def in_header(name, secret):
    return lambda ask: same(ask.headers.get(name), secret)


def in_query(**secrets):
    return lambda ask: all(
        same(ask.take(name.replace("__", ".")), secret) for name, secret in secrets.items()
    )


def nobody(_ask):
    return True


def same(given, expected):
    return given is not None and hmac.compare_digest(given.encode(), expected.encode())


# Rows.


class Row:
    """One thing that the API holds: its number, its version, and when it changed."""

    def __init__(self, number, moment):
        self.number, self.version, self.deleted = number, 1, False
        self.created = self.updated = moment


class Rows:
    """The things that an API holds, and every version of them that it has shown."""

    def __init__(self, make, count, step, start):
        self.make, self.step = make, datetime.timedelta(seconds=step)
        self.by_number, self.now = {}, start
        self.history = []
        for _ in range(count):
            self.add()

    def tick(self):
        self.now += self.step
        return self.now

    def add(self):
        row = Row(len(self.by_number) + 1, self.tick())
        self.by_number[row.number] = row
        return self.note(row)

    def change(self, number):
        row = self.by_number[number]
        row.version, row.updated = row.version + 1, self.tick()
        return self.note(row)

    def delete(self, number):
        row = self.by_number[number]
        row.deleted, row.updated = True, self.tick()
        return row

    def note(self, row):
        self.history.append(self.make(row))
        return row

    def live(self, since=None, after=None, key="updated"):
        """Rows that are there, by creation; or by a time, from `since` on (or strictly after it)."""
        rows = [row for row in self.by_number.values() if not row.deleted]
        return self.sifted(rows, since, after, key)

    def everything(self, since=None, after=None, key="updated"):
        """Also those that were deleted."""
        return self.sifted(list(self.by_number.values()), since, after, key)

    def sifted(self, rows, since, after, key):
        if since is not None:
            rows = [row for row in rows if getattr(row, key) >= since]
        if after is not None:
            rows = [row for row in rows if getattr(row, key) > after]
        if since is None and after is None:
            return rows
        return sorted(rows, key=lambda row: (getattr(row, key), row.number))

    def records(self, rows=None):
        return [self.make(row) for row in (self.live() if rows is None else rows)]


class Api:
    """A fake. Subclasses say what is documented, and answer."""

    title = ""  # what is read
    origins = ()  # where the real API is
    document = ""  # the address of its documentation
    pages = ""  # its kind of pagination, in a few words
    credentials = ""  # how it knows its caller
    filter = ""  # its incremental filter; empty: it has none
    secret = "s3cret-t0ken"  # of its caller
    prefix = ""  # what stands before it in the header Authorization
    count = 23
    step = 61
    maps = ()  # pointers to objects whose keys are ids
    throttle = (429, {"retry-after": "1"})

    def __init__(self):
        self.lock = threading.RLock()
        self.faults, self.refusals, self.asked = [], [], 0
        self.sent = collections.Counter()
        self.seen = {}
        self.is_known = bearer(self.secret)
        self.rows = Rows(self.make, self.count, self.step, self.start())
        self.begin()

    def start(self):
        """When its first row is made."""
        return BEGIN

    def begin(self):
        """What a fake has beyond its rows."""

    def make(self, row):
        """The record of a row."""
        raise NotImplementedError

    def advance(self):
        """Two rows change, four are new, two are gone."""
        for number in (2, 5):
            self.rows.change(number)
        for _ in range(4):
            self.rows.add()
        for number in (3, 7):
            self.rows.delete(number)

    def truth(self, poll):
        """What a poll of that name must have brought: all that is there, or every version that was shown."""
        if poll.endswith("_changes"):
            return self.rows.history
        return self.rows.records()

    def error(self, status, text):
        """The body of a refusal."""
        return {"error": {"code": status, "message": text}}

    def note(self, kind, records):
        """Counts what was sent: of `all`, or of `changes`."""
        self.sent[kind] += len(records)
        return records

    def paged(self, records, offset, limit):
        return records[offset : offset + limit]

    # From here on: how requests come in.

    def answer(self, method, target, headers, raw):
        with self.lock:
            try:
                answer = self.answered(Ask(method, target, headers, raw))
            except Refused as refused:
                body = self.error(refused.status, refused.text)
                answer = Answer(body, refused.headers, refused.status)
                self.refusals.append(f"{method} {target}: {refused.status} {refused.text}")
            return answer

    def answered(self, ask):
        for function in dir(type(self)):
            for method, pattern, body, guarded in getattr(
                getattr(type(self), function), "routes", ()
            ):
                found = pattern.match(ask.path)
                if method == ask.method and found:
                    return self.handled(ask, function, found.groupdict(), body, guarded)
        raise Refused(404, f"there is nothing at {ask.method} {ask.path}")

    def handled(self, ask, function, segments, body, guarded):
        fault = self.faults.pop(0) if guarded and self.faults else None
        if guarded and not self.is_known(ask):
            raise Refused(401, "these credentials are not known")
        if fault == 429:
            status, headers = self.throttle
            raise Refused(status, "too many requests", headers() if callable(headers) else headers)
        if isinstance(fault, int):
            raise Refused(fault, "something went wrong here")
        answer = getattr(self, function)(ask, **segments)
        if not isinstance(answer, Answer):
            answer = Answer(answer)
        for name in ask.query:
            raise Refused(400, f"unknown parameter {name}")
        self.asked += 1
        if body and answer.status == 200:
            self.seen[body] = merged(self.seen.get(body), shape_of_answer(answer, self.maps))
        answer.is_cut = fault == "cut"
        return answer

    def differences(self):
        """Where the shape of what was answered is not that of the documented bodies."""
        found = []
        for name, seen in sorted(self.seen.items()):
            paths = sorted(BODIES.glob(f"{name}.*"))
            paths = [path for path in paths if path.suffix != ".graphql"]
            if len(paths) != 1:
                found.append(f"{name}: there are {len(paths)} documented bodies")
                continue
            kind = {".json": "application/json", ".csv": "text/csv"}.get(paths[0].suffix, "ndjson")
            sample = shape_of_answer(Answer(paths[0].read_bytes(), kind=kind), self.maps)
            found += [f"{name}{text}" for text in compared(sample, seen, "")]
        return found


# Shapes: which keys and kinds of values a body has, for all elements of a list together.


def shape_of_answer(answer, maps):
    text = answer.bytes().decode()
    if "csv" in answer.kind:
        return {"list": {"string:" + text.splitlines()[0]: True}}
    if "ndjson" in answer.kind:
        return shape([json.loads(line) for line in text.splitlines() if line], maps)
    return shape(json.loads(text), maps) if text else {}


def shape(value, maps, at=""):
    if isinstance(value, dict) and at in maps:
        return {"map": merged_all(shape(one, maps, at + "/*") for one in value.values())}
    if isinstance(value, dict):
        return {"object": {key: shape(one, maps, f"{at}/{key}") for key, one in value.items()}}
    if isinstance(value, list):
        return {"list": merged_all(shape(one, maps, at + "/*") for one in value)}
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolean": True}
    return {"string" if isinstance(value, str) else "number": True}


def merged_all(shapes):
    whole = None
    for one in shapes:
        whole = merged(whole, one)
    return whole


def merged(one, other):
    if one is None or other is None:
        return other if one is None else one
    whole = dict(one)
    for kind, inner in other.items():
        if kind == "object" and kind in whole:
            keys = [*whole[kind], *(key for key in inner if key not in whole[kind])]
            whole[kind] = {key: merged(whole[kind].get(key), inner.get(key)) for key in keys}
        elif kind in ("list", "map") and kind in whole:
            whole[kind] = merged(whole[kind], inner)
        else:
            whole[kind] = inner
    return whole


def compared(sample, seen, at):
    if not sample or not seen:
        return
    for kind in seen:
        if kind not in sample:
            yield f"{at}: is documented as {sorted(sample)}, not as {kind}"
        elif kind == "object":
            for key in sorted({*sample[kind], *seen[kind]}):
                if key not in sample[kind]:
                    yield f"{at}/{key}: is not documented"
                elif key not in seen[kind]:
                    yield f"{at}/{key}: was never answered"
                else:
                    yield from compared(sample[kind][key], seen[kind][key], f"{at}/{key}")
        elif kind in ("list", "map"):
            yield from compared(sample[kind], seen[kind], at + "/*")


# The server.


def serve(answer):
    """Serves on a free port, which is returned; `answer` gets method, target, headers and body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self):
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            answered = answer(self.command, self.path, self.headers, raw)
            body = answered.bytes()
            lines = [f"HTTP/1.1 {answered.status} {self.responses.get(answered.status, ('?',))[0]}"]
            headers = {"content-type": answered.kind, "content-length": len(body)}
            if answered.status in (204, 304):
                headers = {}
            headers.update(answered.headers)
            lines += [f"{name}: {value}" for name, value in headers.items()]
            head = "\r\n".join([*lines, "", ""]).encode()
            if getattr(answered, "is_cut", False):
                body = body[: len(body) * 2 // 3]
                self.close_connection = True
            self.wfile.write(head + body)

        do_GET = do_POST = do_PUT = handle_any

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
