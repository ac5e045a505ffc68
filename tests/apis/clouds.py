"""Fakes of Google's APIs."""

from fake import Answer, Api, Refused, bearer, in_query, iso, iso_ms, known, matched, route


class Google(Api):
    """What the fakes of Google share: a token for a refresh token."""

    credentials = "OAuth 2 refresh token"
    throttle = (429, {"retry-after": "1"})

    def begin(self):
        self.is_known = bearer("ya29.t0ken")

    def error(self, status, text):
        details = [{"domain": "global", "reason": "invalid", "message": text}]
        return {"error": {"errors": details, "code": status, "message": text}}

    @route("POST", "/token", guarded=False)
    def token(self, ask):
        form = ask.form("grant_type", "client_id", "client_secret", "refresh_token")
        expected = {"grant_type": "refresh_token", "client_id": "client-1",
                    "client_secret": self.secret, "refresh_token": self.secret}  # fmt: skip
        if form != expected:
            return Answer({"error": "invalid_grant", "error_description": "Bad Request"}, status=400)
        return {"access_token": "ya29.t0ken", "expires_in": 3599, "token_type": "Bearer", "scope": "read"}


class Calendar(Google):
    name, title = "google_calendar", "Google Calendar events"
    origins = ("https://www.googleapis.com", "https://oauth2.googleapis.com")
    document = "https://developers.google.com/workspace/calendar/api/guides/sync"
    pages = "cursor (`nextPageToken`)"
    filter = "`syncToken`, kept between runs"

    def make(self, row):
        if row.deleted:
            return {"kind": "calendar#event", "id": f"ev{row.number:06}", "status": "cancelled"}
        return {
            "kind": "calendar#event",
            "id": f"ev{row.number:06}",
            "status": "confirmed",
            "created": iso_ms(row.created),
            "updated": iso_ms(row.updated),
            "summary": f"Regatta {row.number}",
            "start": {"dateTime": iso(row.created), "timeZone": "UTC"},
            "sequence": row.version,
            **({"location": "Pier 7"} if row.number % 3 == 0 else {}),
        }

    def advance(self):
        super().advance()
        for number in (3, 7):
            self.rows.note(self.rows.by_number[number])

    @route("GET", "/calendar/v3/calendars/{calendar}/events", "google_calendar")
    def events(self, ask, calendar):
        size, page, sync = ask.whole("maxResults", 250, 1, 2500), ask.take("pageToken"), None
        sync = ask.take("syncToken")
        begin = int(matched(r"CigKGmZp(\d+)", page, "pageToken")[0]) if page else 0
        if sync is not None:
            if not sync.startswith("CPDAlvWD"):
                raise Refused(410, "Sync token is no longer valid, a full sync is required.")
            log = self.rows.history[int(matched(r"CPDAlvWD(\d+)=", sync)[0]) :]
        else:
            log = self.rows.records()
        items = self.paged(log, begin, size)
        self.note("changes" if sync else "all", items)
        body = {
            "kind": "calendar#events",
            "etag": '"p33c"',
            "summary": "Lake",
            "updated": iso_ms(self.rows.now),
            "timeZone": "UTC",
            "accessRole": "owner",
            "defaultReminders": [],
            "items": items,
        }
        if begin + size < len(log):
            body["nextPageToken"] = f"CigKGmZp{begin + size}"
        else:
            body["nextSyncToken"] = f"CPDAlvWD{len(self.rows.history)}="
        return body


class Gmail(Google):
    name, title = "gmail", "Gmail messages and history"
    origins = ("https://gmail.googleapis.com", "https://oauth2.googleapis.com")
    document = "https://developers.google.com/workspace/gmail/api/guides/sync"
    pages = "cursor (`nextPageToken`)"
    filter = "`startHistoryId`"

    def make(self, row):
        message = {"id": f"18c2a{row.number:06x}", "threadId": f"18c2a{row.number:06x}"}
        more = {"message": {**message, "labelIds": ["INBOX"]}}
        return {"id": str(9_000 + row.number), "messages": [message], "messagesAdded": [more]}

    def advance(self):
        for _ in range(5):
            self.rows.add()
        for number in (3, 7):
            self.rows.delete(number)

    def truth(self, poll):
        if poll.endswith("_changes"):
            return self.rows.history
        return [self.make(row)["messages"][0] for row in self.rows.live()]

    @route("GET", "/gmail/v1/users/me/messages", "gmail_messages")
    def messages(self, ask):
        size, page = ask.whole("maxResults", 100, 1, 500), ask.take("pageToken")
        begin = int(matched(r"0998(\d+)", page, "pageToken")[0]) if page else 0
        records = [self.make(row)["messages"][0] for row in self.rows.live()]
        body = {"resultSizeEstimate": len(records), "messages": self.paged(records, begin, size)}
        if begin + size < len(records):
            body["nextPageToken"] = f"0998{begin + size}"
        return body

    @route("GET", "/gmail/v1/users/me/history", "gmail_history")
    def history(self, ask):
        size, page = ask.whole("maxResults", 100, 1, 500), ask.take("pageToken")
        start = ask.whole("startHistoryId")
        if start is None or start < 9_000:
            raise Refused(404 if start else 400, "startHistoryId")
        begin = int(matched(r"0998(\d+)", page, "pageToken")[0]) if page else 0
        log = [one for one in self.rows.history if int(one["id"]) > start]
        found = self.note("changes", self.paged(log, begin, size))
        body = {"historyId": str(9_000 + len(self.rows.history))}
        if found:
            body["history"] = found
        if begin + size < len(log):
            body["nextPageToken"] = f"0998{begin + size}"
        return body


class Sheets(Api):
    name, title = "google_sheets", "Google Sheets values"
    origins = ("https://sheets.googleapis.com",)
    document = "https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/get"
    pages, credentials = "none; each record is a list", "query parameter `key`"

    def begin(self):
        self.is_known = in_query(key=self.secret)

    def make(self, row):
        return {"value": [f"Item {row.number}", row.number * 2.5, row.version > 1, ""]}

    @route("GET", "/v4/spreadsheets/{sheet}/values/{range}", "google_sheets")
    def values(self, ask, sheet, range):
        ask.fixed("majorDimension", "ROWS")
        ask.fixed("valueRenderOption", "UNFORMATTED_VALUE")
        values = [one["value"] for one in self.rows.records()]
        return {"range": "Sheet1!A1:D1000", "majorDimension": "ROWS", "values": values}


class Analytics(Google):
    name, title = "google_analytics", "Google Analytics report"
    origins = ("https://analyticsdata.googleapis.com", "https://oauth2.googleapis.com")
    document = "https://developers.google.com/analytics/devguides/reporting/data/v1/rest/v1beta/properties/runReport"
    pages = "POST, offset in the body, with `rowCount`"
    filter = "`dateRanges` in the body, in days"
    step = 86_400

    def make(self, row):
        return {
            "dimensionValues": [{"value": row.created.strftime("%Y%m%d")}, {"value": "Chile"}],
            "metricValues": [{"value": str(10 * row.number + row.version)}],
        }

    def advance(self):
        # The newest days are counted again.
        self.rows.change(23)
        for _ in range(4):
            self.rows.add()

    @route("POST", "/v1beta/properties/{property}:runReport", "google_analytics")
    def report(self, ask, property):
        body = ask.json("dateRanges", "dimensions", "metrics", "limit", "offset", "orderBys")
        if body["dimensions"] != [{"name": "date"}, {"name": "country"}]:
            raise Refused(400, "dimensions")
        if body["metrics"] != [{"name": "activeUsers"}]:
            raise Refused(400, "metrics")
        (dates,) = body["dateRanges"]
        known(dates, "startDate", "endDate")
        start, end = (read_day(dates[name], name) for name in ("startDate", "endDate"))
        limit, offset = (int(body.get(name, default)) for name, default in (("limit", 10_000), ("offset", 0)))
        rows = [row for row in self.rows.live() if start <= row.created.strftime("%Y-%m-%d") <= end]
        found = self.paged(self.rows.records(rows), offset, limit)
        self.note("all" if start == "2026-01-01" else "changes", found)
        answer = {
            "dimensionHeaders": [{"name": "date"}, {"name": "country"}],
            "metricHeaders": [{"name": "activeUsers", "type": "TYPE_INTEGER"}],
            "rowCount": len(rows),
            "metadata": {"currencyCode": "EUR", "timeZone": "Etc/UTC"},
            "kind": "analyticsData#runReport",
        }
        if found:
            answer["rows"] = found
        return answer


def read_day(text, name):
    if text == "today":
        return "9999-12-31"
    matched(r"(\d{4}-\d\d-\d\d)", text, name)
    return text
