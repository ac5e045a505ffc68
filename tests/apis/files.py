"""Fakes of APIs of files, contents and search."""

from chat import OnlyNew
from crm import Tokens
from fake import Api, Refused, epoch, epoch_ms, in_header, in_query, iso, iso_ms
from fake import known, matched, route


class Box(Tokens):
    """What the fakes of Box share."""

    origins = ("https://api.box.com",)
    credentials = "OAuth 2 client credentials, with further fields"
    token_form = {
        "grant_type": "client_credentials",
        "box_subject_type": "enterprise",
        "box_subject_id": "123456",
    }

    def error(self, status, text):
        return {"type": "error", "status": status, "code": "bad_request", "message": text, "request_id": "abc"}

    @route("POST", "/oauth2/token", guarded=False)
    def tokens(self, ask):
        return self.issue(ask, expires_in=3600, restricted_to=[])


class BoxItems(Box, Api):
    name, title = "box_items", "Box folder"
    document = "https://developer.box.com/guides/api-calls/pagination/offset-based/"
    pages = "offset that grows by the limit; hidden entries make pages short"

    def make(self, row):
        return {
            "type": "file",
            "id": str(12_345 + row.number),
            "etag": str(row.version),
            "sequence_id": str(row.version),
            "name": f"Chart {row.number}.pdf",
            "sha1": None if row.number % 5 == 0 else f"{row.number:040x}",
        }

    def hidden(self, row):
        return row.number % 4 == 1

    def truth(self, poll):
        return [self.make(row) for row in self.rows.live() if not self.hidden(row)]

    @route("GET", "/2.0/folders/{folder}/items", "box_items")
    def items(self, ask, folder):
        limit, offset = ask.whole("limit", 100, 1, 1000), ask.whole("offset", 0, 0, 10_000)
        rows = self.rows.live()
        entries = [self.make(row) for row in rows[offset : offset + limit] if not self.hidden(row)]
        order = [{"by": "type", "direction": "ASC"}]
        return {"total_count": len(rows), "limit": limit, "offset": offset, "order": order, "entries": entries}


class BoxEvents(Box, OnlyNew):
    name, title = "box_events", "Box events"
    document = "https://developer.box.com/guides/events/pagination"
    pages = "`stream_position` that is always there, until a page is empty"
    filter = "`stream_position`, kept between runs"

    def make(self, row):
        return {
            "type": "event",
            "event_id": f"f82c3ba03e41f7e8a7608363cc6c0390183{row.number:05}",
            "created_at": row.created.strftime("%Y-%m-%dT%H:%M:%S-00:00"),
            "event_type": "UPLOAD",
            "session_id": None,
            "source": {"type": "file", "id": str(row.number)},
            "additional_details": {"size": row.number * 100},
        }

    @route("GET", "/2.0/events", "box_events")
    def events(self, ask):
        ask.fixed("stream_type", "admin_logs_streaming", "all")
        limit, position = ask.whole("limit", 100, 1, 500), ask.take("stream_position", "0")
        begin = int(matched(r"1348790499(\d+)", position)[0]) if position != "0" else 0
        entries = self.paged(self.rows.history, begin, limit)
        self.note("changes" if begin >= self.count else "all", entries)
        following = f"1348790499{begin + len(entries)}"
        return {"chunk_size": len(entries), "next_stream_position": following, "entries": entries}


class Dropbox(Api):
    name, title = "dropbox", "Dropbox folder"
    origins = ("https://api.dropboxapi.com",)
    document = "https://www.dropbox.com/developers/documentation/http/documentation#files-list_folder"
    pages, credentials = "POST, cursor to another path, with `has_more`", "bearer token"
    filter = "the cursor, kept between runs"

    def error(self, status, text):
        return {"error_summary": text, "error": {".tag": "other"}}

    def make(self, row):
        path = f"/charts/{row.number}.pdf"
        if row.deleted:
            return {".tag": "deleted", "name": f"{row.number}.pdf", "path_lower": path, "path_display": path}
        return {
            ".tag": "file",
            "name": f"{row.number}.pdf",
            "path_lower": path,
            "path_display": path,
            "id": f"id:a4ayc_80_OEAAAAAAAAAXw{row.number:04}",
            "server_modified": iso(row.updated),
            "rev": f"a1c10ce0dd{row.version}",
            "size": 7212 + row.number,
            "is_downloadable": True,
        }

    def advance(self):
        super().advance()
        for number in (3, 7):
            self.rows.note(self.rows.by_number[number])

    def page(self, log, begin, kind):
        entries = self.note(kind, self.paged(log, begin, 10))
        return entries, begin + 10 < len(log)

    @route("POST", "/2/files/list_folder", "dropbox")
    def list_folder(self, ask):
        body = ask.json("path", "recursive", "include_deleted", "limit")
        if body.get("path") != "/charts":
            raise Refused(409, "path/not_found/")
        log = self.rows.records()
        entries, more = self.page(log, 0, "all")
        cursor = f"ZtkX9_EHj3x{len(self.rows.history)}-{10 if more else 'end'}"
        return {"entries": entries, "cursor": cursor, "has_more": more}

    @route("POST", "/2/files/list_folder/continue", "dropbox")
    def go_on(self, ask):
        body = ask.json("cursor")
        length, at = matched(r"ZtkX9_EHj3x(\d+)-(\d+|end)", body.get("cursor"), "cursor")
        if at == "end":
            entries = self.note("changes", self.rows.history[int(length) :])
            return {"entries": entries, "cursor": f"ZtkX9_EHj3x{len(self.rows.history)}-end", "has_more": False}
        entries, more = self.page(self.rows.records(), int(at), "all")
        cursor = f"ZtkX9_EHj3x{length}-{int(at) + 10 if more else 'end'}"
        return {"entries": entries, "cursor": cursor, "has_more": more}


class Contentful(Api):
    name, title = "contentful", "Contentful entries"
    origins = ("https://cdn.contentful.com",)
    document = "https://www.contentful.com/developers/docs/references/content-delivery-api/#/reference/synchronization"
    pages, credentials = "offset (`skip`), with `total`; URL of a sync", "bearer token"
    filter = "`nextSyncUrl`, kept between runs"
    throttle = (429, {"x-contentful-ratelimit-reset": "1"})

    def error(self, status, text):
        return {"sys": {"type": "Error", "id": "BadRequest"}, "message": text, "requestId": "85f"}

    def make(self, row):
        if row.deleted:
            return {"sys": {"type": "DeletedEntry", "id": f"nyan{row.number}", "revision": 1}}
        return {
            "sys": {
                "type": "Entry",
                "id": f"nyan{row.number}",
                "revision": row.version,
                "createdAt": iso_ms(row.created),
                "updatedAt": iso_ms(row.updated),
            },
            "fields": {"name": {"en-US": f"Island {row.number}"}, "likes": {"en-US": ["fish"]}},
        }

    def advance(self):
        super().advance()
        for number in (3, 7):
            self.rows.note(self.rows.by_number[number])

    @route("GET", "/spaces/{space}/environments/{environment}/entries", "contentful_entries")
    def entries(self, ask, space, environment):
        skip, limit = ask.whole("skip", 0), ask.whole("limit", 100, 1, 1000)
        ask.fixed("order", "sys.id", "sys.createdAt")
        ask.fixed("locale", "*")
        records = self.rows.records()
        items = self.note("all", self.paged(records, skip, limit))
        return {"sys": {"type": "Array"}, "total": len(records), "skip": skip, "limit": limit, "items": items}

    @route("GET", "/spaces/{space}/environments/{environment}/sync", "contentful_sync")
    def sync(self, ask, space, environment):
        initial, token = ask.fixed("initial", "true"), ask.take("sync_token")
        if (initial is None) == (token is None):
            raise Refused(400, "either initial or sync_token")
        limit = ask.whole("limit", 10, 1, 1000) if initial else 10
        start, begin = 0, 0
        if token is not None:
            start, begin = map(int, matched(r"w5ZGw6JFwqZmVcKsE8Kow4(\d+)-(\d+)", token, "sync_token"))
        length = len(self.rows.history)
        log = self.rows.records() if start == 0 else self.rows.history[start:]
        items = self.note("changes", self.paged(log, begin, limit))
        more = begin + limit < len(log)
        token = f"w5ZGw6JFwqZmVcKsE8Kow4{start}-{begin + limit}" if more else f"w5ZGw6JFwqZmVcKsE8Kow4{length}-0"
        url = f"{self.origin}{ask.path}?sync_token={token}"
        return {"sys": {"type": "Array"}, "items": items, "nextPageUrl" if more else "nextSyncUrl": url}


class Firebase(Api):
    name, title = "firebase", "Firebase Realtime Database"
    origins = ("https://example-default-rtdb.firebaseio.com",)
    document = "https://firebase.google.com/docs/database/rest/retrieve-data"
    pages, credentials = "none; a map keyed by id (null if it is empty)", "query parameter `auth`"
    filter = '`orderBy="updated"&startAt=…` in ms'
    maps = ("",)
    throttle = (503, {})

    def begin(self):
        self.is_known = in_query(auth=self.secret)

    def error(self, status, text):
        return {"error": text}

    def make(self, row):
        return {
            "key": f"-JRHTHaIs-jNPLXO{row.number:04}",
            "name": f"Plesiosaur {row.number}",
            "length": 18 + row.version / 2,
            "updated": epoch_ms(row.updated),
            **({"order": "saurischia"} if row.number % 2 else {}),
        }

    @route("GET", "/dinosaurs.json", "firebase")
    def dinosaurs(self, ask):
        order, start = ask.take("orderBy"), ask.take("startAt")
        if (order is None) != (start is None) or order not in (None, '"updated"'):
            raise Refused(400, "orderBy must be a valid JSON encoded path")
        records = self.rows.records()
        if start is not None:
            begin = int(matched(r"(\d+)", start, "startAt")[0])
            records = [one for one in records if one["updated"] >= begin]
        self.note("changes" if start else "all", records)
        return {one.pop("key"): one for one in records} or None


class Algolia(Api):
    name, title = "algolia", "Algolia index (browse)"
    origins = ("https://app-1-dsn.algolia.net",)
    document = "https://www.algolia.com/doc/rest-api/search/browse"
    pages, credentials = "POST, cursor in the body", "two headers"
    filter = "`filters=updated_at >= …` in s"

    def begin(self):
        both = in_header("x-algolia-application-id", "APP-1"), in_header("x-algolia-api-key", self.secret)
        self.is_known = lambda ask: all(one(ask) for one in both)

    def error(self, status, text):
        return {"message": text, "status": status}

    def make(self, row):
        return {
            "objectID": str(row.number),
            "name": f"Lure {row.number}",
            "price": row.number * 0.99,
            "updated_at": epoch(row.updated),
            "_tags": ["bait"],
            "stock": row.version,
        }

    @route("POST", "/1/indexes/{index}/browse", "algolia")
    def browse(self, ask, index):
        body = ask.json("cursor", "filters", "hitsPerPage", "query")
        since, begin, size = -1, 0, body.get("hitsPerPage", 1000)
        if "cursor" in body:
            since, begin, size = map(int, matched(r"jMDY3M2MwM2QwMWUxMmQw(-?\d+)\.(\d+)\.(\d+)", body["cursor"]))
        elif "filters" in body:
            since = int(matched(r"updated_at >= (\d+)", body["filters"], "filters")[0])
        records = [one for one in self.rows.records() if one["updated_at"] >= since]
        hits = self.paged(records, begin, size)
        self.note("changes" if since >= 0 else "all", hits)
        answer = {"hits": hits, "nbHits": len(records), "hitsPerPage": size, "processingTimeMS": 7}
        if begin + size < len(records):
            answer["cursor"] = f"jMDY3M2MwM2QwMWUxMmQw{since}.{begin + size}.{size}"
        return answer


class Elasticsearch(Api):
    name, title = "elasticsearch", "Elasticsearch index (search_after)"
    origins = ("https://search.example.com:9200",)
    document = "https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results#search-after"
    pages, credentials = "POST, `search_after` the `sort` of the last hit", "header `Authorization: ApiKey …`"
    filter = "a `range` query in the body"
    throttle = (429, {})

    prefix = "ApiKey "

    def begin(self):
        self.is_known = in_header("authorization", self.prefix + self.secret)

    def error(self, status, text):
        return {"error": {"type": "parsing_exception", "reason": text, "root_cause": []}, "status": status}

    def make(self, row):
        return {
            "_index": "catches",
            "_id": f"c{row.number:04}",
            "_score": None,
            "_source": {"@timestamp": iso_ms(row.updated), "fish": f"Perch {row.number}", "kg": row.version / 4},
            "sort": [epoch_ms(row.updated), f"c{row.number:04}"],
        }

    @route("POST", "/catches/_search", "elasticsearch")
    def search(self, ask):
        body = ask.json("size", "query", "sort", "search_after")
        if body.get("sort") != [{"@timestamp": "asc"}, {"id": "asc"}]:
            raise Refused(400, "sort")
        query, size, since = body.get("query", {"match_all": {}}), body.get("size", 10), None
        if "range" in query:
            since = known(query["range"]["@timestamp"], "gte")["gte"]
            matched(r"(2026-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)", since, "range")
        elif query != {"match_all": {}}:
            raise Refused(400, f"unknown query {query}")
        records = sorted(self.rows.records(), key=lambda one: one["sort"])
        records = [one for one in records if not since or one["_source"]["@timestamp"] >= since]
        total = min(len(records), 5)
        after = body.get("search_after")
        if "search_after" in body:
            if not isinstance(after, list) or list(map(type, after)) != [int, str]:
                raise Refused(400, f"search_after: {after!r}")
            records = [one for one in records if one["sort"] > after]
        hits = self.note("changes" if since else "all", records[:size])
        # The total is capped (here at 5; by default at 10,000).
        return {
            "took": 3,
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {"total": {"value": total, "relation": "gte"}, "max_score": None, "hits": hits},
        }
