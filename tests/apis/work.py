"""Fakes of APIs where work is planned and written down."""

import json
import time
import urllib.parse

from fake import Api, Refused, basic, epoch, epoch_ms, graphql, in_header, in_query, iso, iso_ms, known
from fake import matched, read_epoch, read_iso, read_time, route


class Jira(Api):
    """What Jira Server and Jira Cloud share: issues, and JQL."""

    filter = '`updated >= "yyyy/MM/dd HH:mm"` in JQL'

    def error(self, status, text):
        return {"errorMessages": [text], "errors": {}}

    def make(self, row):
        stamp = "%Y-%m-%dT%H:%M:%S.000+0000"
        return {
            "id": str(10_000 + row.number),
            "key": f"LAKE-{row.number}",
            "self": f"https://example.atlassian.net/rest/api/2/issue/{10_000 + row.number}",
            "fields": {
                "summary": f"Dredge bay {row.number}",
                "updated": row.updated.strftime(stamp),
                "created": row.created.strftime(stamp),
                "status": {"name": "To Do", "id": "10000"},
                "assignee": None,
                "votes": {"votes": row.version},
            },
        }

    def found(self, ask):
        jql = ask.must("jql")
        pattern = r'project = LAKE(?: AND updated >= "([^"]*)")? ORDER BY updated(?: ASC)?'
        (since,) = matched(pattern, jql, "jql")
        fields = ask.take("fields", "*navigable")
        if fields not in ("*all", "summary,updated,created,status,assignee,votes"):
            raise Refused(400, f"fields: {fields!r}")
        rows = self.rows.live(since=self.rows.live()[0].created)
        if since:
            rows = self.rows.live(since=read_time(since, "%Y/%m/%d %H:%M", "updated"))
        return rows, "changes" if since else "all"


class JiraServer(Jira):
    name, title = "jira_server", "Jira Data Center issues"
    origins = ("https://jira.example.com",)
    document = "https://docs.atlassian.com/software/jira/docs/api/REST/9.12.0/#api/2/search"
    pages, credentials = "offset (`startAt`), with `total`", "bearer token"

    @route("GET", "/rest/api/2/search", "jira_server")
    def search(self, ask):
        rows, kind = self.found(ask)
        start, most = ask.whole("startAt", 0), ask.whole("maxResults", 50, 0, 1000)
        most = min(most, 10)
        issues = self.note(kind, self.paged(self.rows.records(rows), start, most))
        return {
            "expand": "schema,names",
            "startAt": start,
            "maxResults": most,
            "total": len(rows),
            "issues": issues,
        }


class JiraCloud(Jira):
    name, title = "jira_cloud", "Jira Cloud issues"
    origins = ("https://example.atlassian.net",)
    document = "https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-search/"
    pages, credentials = "cursor (`nextPageToken`), with `isLast`", "basic"
    throttle = (429, {"retry-after": "1", "x-ratelimit-reset": "2026-03-01T08:00Z"})

    def begin(self):
        self.is_known = basic("me@example.com", self.secret)

    @route("GET", "/rest/api/3/search/jql", "jira_cloud")
    def search(self, ask):
        rows, kind = self.found(ask)
        most, token = ask.whole("maxResults", 50, 1, 5000), ask.take("nextPageToken")
        begin = int(matched(r"CAEaAg(\d+)", token, "nextPageToken")[0]) if token else 0
        issues = self.note(kind, self.paged(self.rows.records(rows), begin, most))
        if begin + most >= len(rows):
            return {"issues": issues, "isLast": True}
        return {"issues": issues, "nextPageToken": f"CAEaAg{begin + most}", "isLast": False}


class Confluence(Api):
    name, title = "confluence", "Confluence Data Center pages"
    origins = ("https://wiki.example.com",)
    document = "https://developer.atlassian.com/server/confluence/pagination-in-the-rest-api/"
    pages, credentials = "relative URL in `_links.next`", "bearer token"
    filter = '`lastmodified >= "…"` in CQL'

    def error(self, status, text):
        return {"statusCode": status, "message": text}

    def make(self, row):
        return {
            "id": str(65_000 + row.number),
            "type": "page",
            "status": "current",
            "title": f"Tide table {row.number}",
            "history": {
                "lastUpdated": {"when": iso_ms(row.updated), "number": row.version},
                "createdDate": iso_ms(row.created),
            },
            "_links": {"webui": f"/display/LAKE/{row.number}"},
        }

    @route("GET", "/rest/api/content/search", "confluence")
    def search(self, ask):
        cql = ask.must("cql")
        (since,) = matched(r'type=page(?: and lastmodified >= "([^"]*)")?', cql, "cql")
        expand = ask.must("expand")
        if expand != "history.lastUpdated":
            raise Refused(400, f"expand: {expand!r}")
        start, limit = ask.whole("start", 0), ask.whole("limit", 25, 1, 200)
        rows = self.rows.live()
        if since:
            rows = self.rows.live(since=read_time(since, "%Y-%m-%d %H:%M", "lastmodified"))
        results = self.paged(self.rows.records(rows), start, limit)
        self.note("changes" if since else "all", results)
        links = {"self": f"{self.origin}{ask.path}", "base": self.origin, "context": ""}
        if start + limit < len(rows):
            query = {"cql": cql, "expand": expand, "limit": limit, "start": start + limit}
            links["next"] = f"{ask.path}?{urllib.parse.urlencode(query)}"
        return {
            "results": results,
            "start": start,
            "limit": limit,
            "size": len(results),
            "_links": links,
        }


class Linear(Api):
    name, title = "linear", "Linear issues (GraphQL)"
    origins = ("https://api.linear.app",)
    document = "https://linear.app/developers/pagination"
    pages, credentials = "GraphQL `pageInfo`", "header `Authorization`"
    filter = "`filter: {updatedAt: {gte}}`"
    # It refuses too many requests with 400; here the gateway answers in its place.
    throttle = (503, {})

    def begin(self):
        self.is_known = in_header("authorization", self.secret)

    def error(self, status, text):
        return {"errors": [{"message": text, "extensions": {"code": "INVALID_INPUT"}}]}

    def make(self, row):
        return {
            "id": f"9cfb482a-81e3-4154-b5b9-{row.number:012}",
            "identifier": f"LAK-{row.number}",
            "title": f"Net {row.number}",
            "estimate": row.version if row.number % 3 else None,
            "updatedAt": iso_ms(row.updated),
            "assignee": None,
            "state": {"name": "Todo"},
        }

    @route("POST", "/graphql", "linear")
    def graphql(self, ask):
        given = graphql(ask, "linear", "after", "since")
        since, after = given.get("since"), given.get("after")
        rows = self.rows.live(since=since and read_iso(since, "since"))
        rows = sorted(rows, key=lambda row: row.updated)
        records = self.rows.records(rows)
        if after is not None:
            ids = [one["id"] for one in records]
            if after not in ids:
                raise Refused(400, f"after: {after!r}")
            records = records[ids.index(after) + 1 :]
        nodes = records[:10]
        self.note("changes" if since else "all", nodes)
        end = nodes[-1]["id"] if nodes else None
        info = {"hasNextPage": len(records) > 10, "endCursor": end}
        return {"data": {"issues": {"nodes": nodes, "pageInfo": info}}}


class Asana(Api):
    name, title = "asana", "Asana tasks"
    origins = ("https://app.asana.com",)
    document = "https://developers.asana.com/docs/pagination"
    pages, credentials = "cursor (`next_page`, null at the end)", "bearer token"
    filter = "`modified_since`"

    def error(self, status, text):
        return {"errors": [{"message": text, "help": "see the documentation"}]}

    def make(self, row):
        return {
            "gid": str(12_000_000_000 + row.number),
            "name": f"Count fish {row.number}",
            "completed": row.number % 2 == 0,
            "due_on": None,
            "modified_at": iso_ms(row.updated),
            "num_likes": row.version,
            "assignee": {"gid": "14", "resource_type": "user"} if row.number % 3 else None,
        }

    @route("GET", "/api/1.0/tasks", "asana")
    def tasks(self, ask):
        if ask.must("project") != "12345":
            raise Refused(404, "project: unknown object")
        fields = ask.take("opt_fields")
        if fields != "name,completed,due_on,modified_at,num_likes,assignee":
            raise Refused(400, f"opt_fields: {fields!r}")
        limit, token = ask.whole("limit", None, 1, 100), ask.take("offset")
        if limit is None:
            raise Refused(400, "the result is too large: use limit")
        since = ask.take("modified_since")
        rows = self.rows.live(since=since and read_iso(since, "modified_since"))
        begin = int(matched(r"eyJ0eXAiOiJKV(\d+)", token, "offset")[0]) if token else 0
        records = self.paged(self.rows.records(rows), begin, limit)
        self.note("changes" if since else "all", records)
        more = None
        if begin + limit < len(rows):
            token = f"eyJ0eXAiOiJKV{begin + limit}"
            path = f"/tasks?project=12345&limit={limit}&offset={token}"
            more = {"offset": token, "path": path, "uri": f"{self.origin}/api/1.0{path}"}
        return {"data": records, "next_page": more}


class Trello(Api):
    name, title = "trello", "Trello cards and actions"
    origins = ("https://api.trello.com",)
    document = "https://developer.atlassian.com/cloud/trello/guides/rest-api/nested-resources/"
    pages, credentials = "`before` the id of the last record", "two query parameters"
    filter = "`since` a time, of actions"

    def begin(self):
        self.is_known = in_query(key="app-key", token=self.secret)

    def error(self, status, text):
        return text

    def make(self, row):
        return {
            "id": f"{int(row.created.timestamp()):08x}{row.number:016x}",
            "idMemberCreator": "5c1a",
            "type": "updateCard",
            "date": iso_ms(row.created),
            "data": {"card": {"id": "abc", "name": f"Card {row.number}"}, "old": {"pos": row.number}},
        }

    def card(self, row):
        return {
            "id": f"5abbe4b7{row.number:016x}",
            "name": f"Boat {row.number}",
            "pos": 65_535 * row.number + 0.5,
            "closed": False,
            "due": None,
            "dateLastActivity": iso_ms(row.updated),
            "labels": [],
            "badges": {"votes": row.version},
        }

    def truth(self, poll):
        if poll.endswith("_changes"):
            return self.rows.history
        return [self.card(row) for row in self.rows.live()]

    def advance(self):
        for _ in range(5):
            self.rows.add()

    @route("GET", "/1/boards/{board}/cards", "trello_cards")
    def cards(self, ask, board):
        return [self.card(row) for row in self.rows.live()]

    @route("GET", "/1/boards/{board}/actions", "trello_actions")
    def actions(self, ask, board):
        limit, before, since = ask.whole("limit", 50, 1, 1000), ask.take("before"), ask.take("since")
        ask.fixed("filter", "all")
        rows = self.rows.live(since=since and read_iso(since, "since"), key="created")
        records = self.rows.records(rows)[::-1]
        if before:
            matched(r"[0-9a-f]{24}", before, "before")
            records = [one for one in records if one["id"] < before]
        return self.note("changes" if since else "all", records[:limit])


class Monday(Api):
    name, title = "monday", "monday.com items (GraphQL)"
    origins = ("https://api.monday.com",)
    document = "https://developer.monday.com/api-reference/reference/items-page"
    pages, credentials = "GraphQL, cursor (null at the end)", "header `Authorization`"
    filter = "`from` of `activity_logs`"

    def begin(self):
        self.is_known = in_header("authorization", self.secret)

    def error(self, status, text):
        return {"errors": [{"message": text}], "status_code": status}

    def make(self, row):
        return {
            "id": str(1_200_000 + row.number),
            "name": f"Buoy {row.number}",
            "state": "active",
            "updated_at": iso(row.updated),
            "group": {"id": "topics", "title": f"Group {row.version}"},
            "column_values": [{"id": "status", "text": None, "value": None}],
        }

    @route("POST", "/v2", "monday")
    def query(self, ask):
        if not ask.headers.get("api-version"):
            raise Refused(400, "the header API-Version is missing")
        if b"activity_logs" in ask.raw:
            return self.activity(graphql(ask, "monday_logs", "from", "limit", "page"))
        given = graphql(ask, "monday", "cursor")
        begin = 0
        if given.get("cursor") is not None:
            begin = int(matched(r"MSw5NzI4MDA5MDAs(\d+)", given["cursor"])[0])
        rows = self.rows.live()
        items = self.note("all", self.paged(self.rows.records(rows), begin, 10))
        more = f"MSw5NzI4MDA5MDAs{begin + 10}" if begin + 10 < len(rows) else None
        return {"data": {"boards": [{"items_page": {"cursor": more, "items": items}}]}}

    def logs(self):
        """What has happened on the board; its times count units of 100 ns."""
        return [
            {
                "id": f"11324dfb-f7fb-4a08-{number:04x}-0242ac110002",
                "event": "update_column_value",
                "entity": "pulse",
                "data": json.dumps({"pulse_id": int(item["id"])}),
                "created_at": str(epoch(read_iso(item["updated_at"])) * 10_000_000 + number),
            }
            for number, item in enumerate(self.rows.history)
        ]

    def truth(self, poll):
        return self.logs() if poll.endswith("_changes") else self.rows.records()

    def activity(self, given):
        since, limit, page = given.get("from"), given.get("limit", 25), given.get("page", 1)
        if [type(limit), type(page)] != [int, int] or page < 1:
            raise Refused(400, f"limit {limit!r}, page {page!r}")
        logs = self.logs()[::-1]
        if since is not None:
            begin = epoch(read_iso(since, "from")) * 10_000_000
            logs = [one for one in logs if int(one["created_at"]) >= begin]
        found = self.note("changes" if since else "all", self.paged(logs, limit * (page - 1), limit))
        return {"data": {"boards": [{"activity_logs": found}]}}


class Clickup(Api):
    name, title = "clickup", "ClickUp tasks"
    origins = ("https://api.clickup.com",)
    document = "https://developer.clickup.com/reference/gettasks"
    pages, credentials = "page from 0, with `last_page`", "header `Authorization`"
    filter = "`date_updated_gt` in ms"

    def begin(self):
        self.is_known = in_header("authorization", self.secret)

    def throttle_headers():
        return {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 1)}

    throttle = (429, throttle_headers)

    def error(self, status, text):
        return {"err": text, "ECODE": f"INPUT_{status}"}

    def make(self, row):
        return {
            "id": f"9hx{row.number}",
            "name": f"Oar {row.number}",
            "status": {"status": "Open", "orderindex": 0},
            "orderindex": f"{row.number}.0000",
            "date_created": str(epoch_ms(row.created)),
            "date_updated": str(epoch_ms(row.updated)),
            "date_closed": None,
            "points": row.version,
            "tags": [],
        }

    @route("GET", "/api/v2/list/{list}/task", "clickup")
    def tasks(self, ask, list):
        page, after = ask.whole("page", 0, 0), ask.take("date_updated_gt")
        ask.fixed("order_by", "updated", "created")
        ask.fixed("reverse", "true", "false")
        ask.fixed("include_closed", "true")
        rows = self.rows.live()
        if after is not None:
            rows = self.rows.live(after=read_epoch(after, "date_updated_gt", 1000))
        tasks = self.paged(self.rows.records(rows), page * 10, 10)
        self.note("changes" if after else "all", tasks)
        return {"tasks": tasks, "last_page": (page + 1) * 10 >= len(rows)}


class Notion(Api):
    name, title = "notion", "Notion database"
    origins = ("https://api.notion.com",)
    document = "https://developers.notion.com/reference/post-database-query"
    pages, credentials = "POST, cursor in the body", "bearer token"
    filter = "`filter.last_edited_time.on_or_after` in the body"
    step = 67

    def error(self, status, text):
        return {"object": "error", "status": status, "code": "validation_error", "message": text}

    def make(self, row):
        # Its times are cut to the minute.
        return {
            "object": "page",
            "id": f"59833787-2cf9-4fdf-8782-{row.number:012}",
            "created_time": iso_ms(row.created.replace(second=0)),
            "last_edited_time": iso_ms(row.updated.replace(second=0)),
            "archived": False,
            "icon": None,
            "properties": {
                "Name": {"id": "title", "type": "title", "title": [{"plain_text": f"Reed {row.number}"}]},
                "Depth": {"id": "d", "type": "number", "number": row.version + 0.25},
            },
        }

    @route("POST", "/v1/databases/{database}/query", "notion")
    def query(self, ask, database):
        if ask.headers.get("notion-version") != "2022-06-28":
            raise Refused(400, "the header Notion-Version is missing")
        body = ask.json("start_cursor", "page_size", "filter", "sorts")
        cursor, size, since = body.get("start_cursor"), body.get("page_size", 100), None
        if "start_cursor" in body and not isinstance(cursor, str):
            raise Refused(400, "start_cursor must be a string or undefined")
        if not isinstance(size, int) or not 1 <= size <= 100:
            raise Refused(400, f"page_size: {size!r}")
        if "filter" in body:
            wanted = known(body["filter"], "timestamp", "last_edited_time")
            if wanted["timestamp"] != "last_edited_time":
                raise Refused(400, "filter.timestamp")
            known(wanted["last_edited_time"], "on_or_after")
            since = read_iso(wanted["last_edited_time"]["on_or_after"], "on_or_after")
        rows = self.rows.live()
        rows = [row for row in rows if not since or row.updated.replace(second=0) >= since]
        rows = sorted(rows, key=lambda row: row.updated) if since else rows
        begin = int(matched(r"fe2cc560-036c-44cd-90e8-(\d{12})", cursor)[0]) if cursor else 0
        results = self.paged(self.rows.records(rows), begin, size)
        self.note("changes" if since else "all", results)
        more = begin + size < len(rows)
        return {
            "object": "list",
            "results": results,
            "next_cursor": f"fe2cc560-036c-44cd-90e8-{begin + size:012}" if more else None,
            "has_more": more,
            "type": "page_or_database",
            "page_or_database": {},
        }


class Airtable(Api):
    name, title = "airtable", "Airtable records"
    origins = ("https://api.airtable.com",)
    document = "https://airtable.com/developers/web/api/list-records"
    pages, credentials = "cursor (`offset`)", "bearer token"
    filter = "`filterByFormula=IS_AFTER(LAST_MODIFIED_TIME(), …)`"
    throttle = (429, {})

    def error(self, status, text):
        return {"error": {"type": "INVALID_REQUEST", "message": text}}

    def make(self, row):
        return {
            "id": f"rec{row.number:014}",
            "createdTime": iso_ms(row.created),
            "fields": {
                "Name": f"Jetty {row.number}",
                "Length": row.number * 2.5,
                "Modified": iso_ms(row.updated),
                **({"Notes": "wet"} if row.number % 4 == 0 else {}),
            },
        }

    @route("GET", "/v0/{base}/{table}", "airtable")
    def records(self, ask, base, table):
        size, token, formula = ask.whole("pageSize", 100, 1, 100), ask.take("offset"), None
        formula = ask.take("filterByFormula")
        rows = self.rows.live()
        if formula is not None:
            (text,) = matched(r"IS_AFTER\(LAST_MODIFIED_TIME\(\), '([^']*)'\)", formula)
            rows = self.rows.live(after=read_iso(text, "formula"))
        begin = int(matched(r"itrGpZVd(\d+)/rec00000000000000", token)[0]) if token else 0
        records = self.paged(self.rows.records(rows), begin, size)
        self.note("changes" if formula else "all", records)
        body = {"records": records}
        if begin + size < len(rows):
            body["offset"] = f"itrGpZVd{begin + size}/rec00000000000000"
        return body
