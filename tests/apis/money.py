"""Fakes of APIs of payments, prices and rates."""

import urllib.parse

from chat import OnlyNew
from fake import Answer, Api, Refused, epoch, in_header, in_query, matched, nobody
from fake import read_epoch, read_time, route, same


class Stripe(Api):
    name, title = "stripe", "Stripe charges and events"
    origins = ("https://api.stripe.com",)
    document = "https://docs.stripe.com/api/pagination"
    pages, credentials = "`starting_after` the id of the last record", "bearer token"
    filter = "`created[gte]` of events, in s"

    def error(self, status, text):
        return {"error": {"type": "invalid_request_error", "message": text}}

    def make(self, row):
        """An event: what happened to a charge."""
        return {
            "id": f"evt_1{row.number:05}{row.version}",
            "object": "event",
            "created": epoch(row.updated),
            "type": "charge.succeeded" if row.version == 1 else "charge.updated",
            "livemode": False,
            "pending_webhooks": 0,
            "data": {"object": self.charge(row)},
            "request": {"id": None, "idempotency_key": None},
        }

    def charge(self, row):
        return {
            "id": f"ch_1{row.number:05}",
            "object": "charge",
            "amount": 100 * row.number,
            "currency": "usd",
            "captured": row.version > 1,
            "created": epoch(row.created),
            "description": None,
            "metadata": {"order": str(row.number)} if row.number % 2 else {},
        }

    def advance(self):
        for number in (2, 5):
            self.rows.change(number)
        for _ in range(4):
            self.rows.add()

    def truth(self, poll):
        if poll.endswith("_changes"):
            return self.rows.history
        return [self.charge(row) for row in self.rows.live()]

    def listed(self, ask, records, kind):
        limit, after = ask.whole("limit", 10, 1, 100), ask.take("starting_after")
        since = ask.take("created[gte]")
        ask.fixed("type", "charge.*")
        if since is not None:
            since = epoch(read_epoch(since, "created[gte]"))
            records = [one for one in records if one["created"] >= since]
        records = sorted(records, key=lambda one: one["created"], reverse=True)
        if after is not None:
            ids = [one["id"] for one in records]
            if after not in ids:
                raise Refused(400, f"No such {kind}: '{after}'")
            records = records[ids.index(after) + 1 :]
        data = records[:limit]
        self.note("changes" if since else "all", data)
        return {"object": "list", "url": ask.path, "has_more": len(records) > limit, "data": data}

    @route("GET", "/v1/charges", "stripe_charges")
    def charges(self, ask):
        return self.listed(ask, [self.charge(row) for row in self.rows.live()], "charge")

    @route("GET", "/v1/events", "stripe_events")
    def events(self, ask):
        return self.listed(ask, self.rows.history, "event")


class Plaid(Api):
    name, title = "plaid", "Plaid transactions (sync)"
    origins = ("https://production.plaid.com",)
    document = "https://plaid.com/docs/api/products/transactions/#transactionssync"
    pages, credentials = "POST, cursor in the body, with `has_more`", "in the body"
    filter = "the cursor, kept between runs; three lists"

    def begin(self):
        self.is_known = nobody
        self.log = [("added", self.make(row)) for row in self.rows.live()]
        self.starts = 0

    def error(self, status, text):
        return {"error_type": "INVALID_REQUEST", "error_code": "INVALID_FIELD", "error_message": text}

    def make(self, row):
        return {
            "transaction_id": f"lPNjeW1nR6CDn5okmGQ6hEp{row.number:04}",
            "account_id": "BxBXxLj1m4HMXBm9WZZmCWVbPjX16EHwv99vp",
            "amount": round(row.number * 1.07, 2),
            "date": row.created.strftime("%Y-%m-%d"),
            "name": f"Bait {row.version}",
            "pending": False,
            "category": None,
        }

    def advance(self):
        self.log += [("modified", self.make(self.rows.change(number))) for number in (2, 5)]
        self.log += [("added", self.make(self.rows.add())) for _ in range(4)]
        for number in (3, 7):
            gone = self.make(self.rows.delete(number))
            names = ("transaction_id", "account_id")
            self.log.append(("removed", {name: gone[name] for name in names}))

    def truth(self, poll):
        if poll.endswith("_changes"):
            kind = poll.removeprefix("transactions_").removesuffix("_changes")
            return [record for what, record in self.log if what == kind]
        return self.rows.records()

    @route("POST", "/transactions/sync", "plaid")
    def sync(self, ask):
        body = ask.json("client_id", "secret", "access_token", "cursor", "count", "options")
        if (body.get("client_id"), body.get("access_token")) != ("client-1", "access-1"):
            raise Refused(400, "access_token")
        if not same(body.get("secret"), self.secret):
            raise Refused(400, "secret")
        count, cursor = body.get("count", 100), body.get("cursor")
        if not isinstance(count, int) or not 1 <= count <= 500:
            raise Refused(400, "count")
        if "cursor" in body and not isinstance(cursor, str):
            raise Refused(400, f"cursor: {cursor!r}")
        # Without a cursor: what is there now, as added. A cursor says which log, and how far.
        start, at = (0, 0) if not cursor else map(int, matched(r"tVUUL15lYQN5rBnfDIc1I8x(\d+)-(\d+)", cursor))
        if not cursor:
            start = len(self.log)
        now = self.log_from(start)
        part = now[at : at + count]
        lists = {kind: [one for what, one in part if what == kind] for kind in ("added", "modified", "removed")}
        self.note("changes" if at >= self.count else "all", part)
        return {
            **lists,
            "next_cursor": f"tVUUL15lYQN5rBnfDIc1I8x{start}-{at + len(part)}",
            "has_more": at + count < len(now),
            "request_id": "45QSn",
        }

    def log_from(self, start):
        """What was there when the log was that long, then what has happened since."""
        there = {}
        for what, record in self.log[:start]:
            there[record["transaction_id"]] = record
            if what == "removed":
                del there[record["transaction_id"]]
        return [("added", record) for record in there.values()] + self.log[start:]


class Mollie(Api):
    name, title = "mollie", "Mollie payments (HAL)"
    origins = ("https://api.mollie.com",)
    document = "https://docs.mollie.com/reference/pagination"
    pages, credentials = "HAL, link object in `_links` (null at the end)", "bearer token"

    def error(self, status, text):
        return {"status": status, "title": "Bad Request", "detail": text, "_links": {}}

    def make(self, row):
        return {
            "resource": "payment",
            "id": f"tr_{row.number:010}",
            "mode": "live",
            "amount": {"value": f"{row.number}.00", "currency": "EUR"},
            "description": f"Mooring {row.number}",
            "status": "paid" if row.version > 1 else "open",
            "metadata": None,
            "_links": {"self": {"href": f"https://api.mollie.com/v2/payments/{row.number}", "type": "application/hal+json"}},
        }

    @route("GET", "/v2/payments", "mollie")
    def payments(self, ask):
        limit, begin = ask.whole("limit", 50, 1, 250), ask.take("from")
        records = self.rows.records()[::-1]
        if begin is not None:
            ids = [one["id"] for one in records]
            if begin not in ids:
                raise Refused(400, f"from: {begin!r}")
            records = records[ids.index(begin) :]
        url, kind = f"{self.origin}{ask.path}", "application/hal+json"
        more = None
        if len(records) > limit:
            query = urllib.parse.urlencode({"from": records[limit]["id"], "limit": limit})
            more = {"href": f"{url}?{query}", "type": kind}
        links = {"self": {"href": url, "type": kind}, "previous": None, "next": more}
        found = records[:limit]
        return Answer({"count": len(found), "_embedded": {"payments": found}, "_links": links}, kind=kind)


class Polygon(OnlyNew):
    name, title = "polygon", "Polygon.io trades"
    origins = ("https://api.polygon.io",)
    document = "https://polygon.io/docs/rest/stocks/trades-quotes/trades"
    pages, credentials = "URL in the body, which lacks the key", "query parameter `apiKey`"
    filter = "`timestamp.gte` in ns"

    def begin(self):
        self.is_known = in_query(apiKey=self.secret)

    def error(self, status, text):
        return {"status": "ERROR", "request_id": "a47d1bea", "error": text}

    def nanos(self, row):
        return epoch(row.created) * 1_000_000_000 + 123_456_000 + row.number

    def make(self, row):
        return {
            "id": f"{71_675_577_320_000 + row.number}",
            "exchange": 11,
            "price": 171.55 + row.number / 100,
            "size": row.number,
            "conditions": [12, 41],
            "sequence_number": 1_063 + row.number,
            "sip_timestamp": self.nanos(row),
            "participant_timestamp": self.nanos(row) - 37_000,
        }

    @route("GET", "/v3/trades/{ticker}", "polygon")
    def trades(self, ask, ticker):
        cursor = ask.take("cursor")
        if cursor is not None:
            since, begin, limit = map(int, matched(r"YXA9MSZhcz0m(\d+)-(\d+)-(\d+)", cursor))
        else:
            since = ask.whole("timestamp.gte", 0, 0, 10**19)
            begin, limit = 0, ask.whole("limit", 1000, 1, 50_000)
            ask.fixed("order", "asc")
            ask.fixed("sort", "timestamp")
        records = [one for one in self.rows.records() if one["sip_timestamp"] >= since]
        results = self.paged(records, begin, limit)
        self.note("changes" if since else "all", results)
        body = {"results": results, "status": "OK", "request_id": "a47d1bea"}
        if begin + limit < len(records):
            body["next_url"] = f"{self.origin}{ask.path}?cursor=YXA9MSZhcz0m{since}-{begin + limit}-{limit}"
        return body


class Coingecko(Api):
    name, title = "coingecko", "CoinGecko markets"
    origins = ("https://api.coingecko.com",)
    document = "https://docs.coingecko.com/v3.0.1/reference/coins-markets"
    pages, credentials = "page number, until a page is empty", "header `x-cg-demo-api-key`"

    def begin(self):
        self.is_known = in_header("x-cg-demo-api-key", self.secret)

    def error(self, status, text):
        return {"status": {"error_code": status, "error_message": text}}

    def make(self, row):
        return {
            "id": f"lakecoin-{row.number}",
            "symbol": f"lkc{row.number}",
            "current_price": 0.00001234 * row.number * row.version,
            "market_cap": 1_317_802_988_326 // row.number,
            "market_cap_rank": row.number,
            "max_supply": None if row.number % 2 else 21_000_000.0,
            "roi": None if row.number % 3 else {"times": 44.2, "currency": "usd", "percentage": 4420.1},
            "ath_date": "2026-03-14T07:10:36.635Z",
        }

    @route("GET", "/api/v3/coins/markets", "coingecko")
    def markets(self, ask):
        ask.must("vs_currency")
        ask.fixed("order", "market_cap_desc")
        size, page = ask.whole("per_page", 100, 1, 250), ask.whole("page", 1, 1)
        return self.paged(self.rows.records(), (page - 1) * size, size)


class Frankfurter(Api):
    name, title = "frankfurter", "Frankfurter exchange rates"
    origins = ("https://api.frankfurter.dev",)
    document = "https://frankfurter.dev/v1/"
    pages, credentials = "none; maps keyed by currency, and by day", "none"
    filter = "a day in the path"
    step, maps = 86_400, ("/rates",)
    throttle = (429, {"retry-after": "1"})

    def begin(self):
        self.is_known = nobody

    def error(self, status, text):
        return {"message": text}

    def make(self, row):
        rates = {"CHF": 0.93 + row.number / 1000, "USD": 1.08 + row.version / 100}
        return {"day": row.created.strftime("%Y-%m-%d"), **rates}

    def advance(self):
        for _ in range(3):
            self.rows.add()

    def truth(self, poll):
        if poll.endswith("_changes"):
            return self.rows.history
        last = {**self.rows.history[-1]}
        del last["day"]
        return [{"currency": name, "value": rate} for name, rate in last.items()]

    @route("GET", "/v1/latest", "frankfurter_latest")
    def latest(self, ask):
        ask.fixed("base", "EUR")
        rates = {**self.rows.history[-1]}
        return {"amount": 1.0, "base": "EUR", "date": rates.pop("day"), "rates": rates}

    @route("GET", "/v1/{range}", "frankfurter_series")
    def series(self, ask, range):
        (start,) = matched(r"(\d{4}-\d\d-\d\d)\.\.", range, "the range of days")
        read_time(start, "%Y-%m-%d")
        ask.fixed("base", "EUR")
        days = [one for one in self.rows.history if one["day"] >= start]
        self.note("changes", days)
        rates = {one["day"]: {key: one[key] for key in ("CHF", "USD")} for one in days}
        end = days[-1]["day"] if days else start
        return {"amount": 1.0, "base": "EUR", "start_date": start, "end_date": end, "rates": rates}


class Ecb(Api):
    name, title = "ecb", "European Central Bank data (CSV)"
    origins = ("https://data-api.ecb.europa.eu",)
    document = "https://data.ecb.europa.eu/help/api/data"
    pages, credentials = "none; CSV", "none"
    filter = "`startPeriod`, a day"
    step = 86_400
    throttle = (503, {})

    def begin(self):
        self.is_known = nobody

    def error(self, status, text):
        return f"<html>{text}</html>"

    def make(self, row):
        return {
            "KEY": "EXR.D.USD.EUR.SP00.A",
            "FREQ": "D",
            "CURRENCY": "USD",
            "CURRENCY_DENOM": "EUR",
            "TIME_PERIOD": row.created.strftime("%Y-%m-%d"),
            "OBS_VALUE": f"{1 + row.number / 1000:.4f}",
            "OBS_STATUS": "A",
            "TITLE": 'US dollar/Euro, "reference"\nrate' if row.number % 5 == 0 else "US dollar/Euro",
        }

    def advance(self):
        for _ in range(3):
            self.rows.add()

    @route("GET", "/service/data/{flow}/{key}", "ecb")
    def data(self, ask, flow, key):
        if ask.take("format") != "csvdata":
            raise Refused(406, "format")
        start = ask.take("startPeriod")
        since = start and read_time(start, "%Y-%m-%d", "startPeriod")
        records = self.rows.records(self.rows.live(since=since, key="created"))
        self.note("changes" if start else "all", records)
        lines = [list(self.make(self.rows.by_number[1]))]
        lines += [one.values() for one in records]
        quoted = [[self.quoted(field) for field in line] for line in lines]
        return Answer("".join(",".join(line) + "\r\n" for line in quoted), kind="text/csv")

    @staticmethod
    def quoted(field):
        return '"' + field.replace('"', '""') + '"' if set(field) & set(',"\n') else field
