"""Fakes of APIs around software: code hosts, errors, incidents, logs."""

import time
import urllib.parse

from fake import Answer, Api, Refused, basic, graphql, in_header, iso, iso_ms, known, matched
from fake import read_iso, route


def link(origin, path, query, rel="next"):
    """An element of a Link header."""
    return f'<{origin}{path}?{urllib.parse.urlencode(query)}>; rel="{rel}"'


class Github(Api):
    """What the two REST endpoints of GitHub share."""

    origins = ("https://api.github.com",)
    credentials = "bearer token"

    def throttle_headers():
        return {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 1)}

    throttle = (403, throttle_headers)

    def error(self, status, text):
        return {"message": text, "documentation_url": self.document, "status": str(status)}

    def pages_of(self, ask, records, query):
        if not ask.headers.get("user-agent"):
            raise Refused(403, "a request must have a User-Agent")
        limit, page = ask.whole("per_page", 30, 1, 100), ask.whole("page", 1, 1)
        last = max(1, -(-len(records) // limit))
        query = {**query, "per_page": limit}
        links = []
        if page > 1:
            links.append(link(self.origin, ask.path, {**query, "page": page - 1}, "prev"))
        if page < last:
            links.append(link(self.origin, ask.path, {**query, "page": page + 1}))
            links.append(link(self.origin, ask.path, {**query, "page": last}, "last"))
        headers = {"link": ", ".join(links)} if links else {}
        return Answer(self.paged(records, (page - 1) * limit, limit), headers)


class GithubIssues(Github):
    name, title = "github_issues", "GitHub issues (REST)"
    document = "https://docs.github.com/en/rest/issues/issues#list-repository-issues"
    pages, filter = "Link header", "`since`, by `updated_at`"

    def make(self, row):
        return {
            "id": 9_000_000 + row.number,
            "node_id": f"I_kwDO{row.number}",
            "number": row.number,
            "title": f"Lake leaks, part {row.number}",
            "state": "open" if row.number % 3 else "closed",
            "user": {"login": "octolake", "id": 1, "site_admin": False},
            "labels": [{"id": 5, "name": "bug", "color": "f29513"}] if row.number % 2 else [],
            "assignee": None,
            "comments": row.version,
            "created_at": iso(row.created),
            "updated_at": iso(row.updated),
            "closed_at": None,
            "body": f"Version {row.version} — 100 % “wet”",
        }

    @route("GET", "/repos/{owner}/{repo}/issues", "github_issues")
    def issues(self, ask, owner, repo):
        state = ask.fixed("state", "open", "closed", "all") or "open"
        since = ask.take("since")
        sort = ask.fixed("sort", "created", "updated", "comments") or "created"
        direction = ask.fixed("direction", "asc", "desc") or "desc"
        rows = self.rows.live(since=since and read_iso(since, "since"))
        rows.sort(key=lambda row: getattr(row, "updated" if sort == "updated" else "created"))
        if direction == "desc":
            rows.reverse()
        records = self.rows.records(rows)
        records = [one for one in records if state in ("all", one["state"])]
        query = {"state": state, "sort": sort, "direction": direction}
        if since:
            query["since"] = since
        answer = self.pages_of(ask, records, query)
        self.note("changes" if since else "all", answer.body)
        return answer


class GithubRepositories(Github):
    name, title = "github_repositories", "GitHub repositories (REST)"
    document = "https://docs.github.com/en/rest/repos/repos#list-organization-repositories"
    pages = "Link header"

    def make(self, row):
        return {
            "id": row.number,
            "name": f"lake-{row.number}",
            "full_name": f"octo/lake-{row.number}",
            "private": False,
            "owner": {"login": "octo", "id": 77, "type": "Organization"},
            "description": None if row.number % 4 == 0 else f"Waters, edition {row.version}",
            "fork": False,
            "size": row.number * 17,
            "topics": ["water", "lake"][: row.number % 3],
            "license": {"key": "mit", "name": "MIT License"} if row.number % 2 else None,
            "pushed_at": iso(row.updated),
            "created_at": iso(row.created),
        }

    @route("GET", "/orgs/{org}/repos", "github_repositories")
    def repositories(self, ask, org):
        kind = ask.fixed("type", "all", "public", "private", "forks", "sources", "member")
        query = {"type": kind} if kind else {}
        return self.pages_of(ask, self.rows.records(), query)


class GithubGraphql(Api):
    name, title = "github_graphql", "GitHub issues (GraphQL)"
    origins = ("https://api.github.com",)
    document = "https://docs.github.com/en/graphql/guides/using-pagination-in-the-graphql-api"
    pages, credentials, filter = "GraphQL `pageInfo`", "bearer token", "`filterBy: {since}`"

    def make(self, row):
        return {
            "id": f"I_kwDOLake{row.number}",
            "number": row.number,
            "title": f"Drain {row.number}",
            "state": "OPEN",
            "updatedAt": iso(row.updated),
            "author": {"login": "octolake"} if row.number % 5 else None,
            "comments": {"totalCount": row.version},
        }

    def error(self, status, text):
        if status == 400:
            return {"errors": [{"message": text, "type": "INVALID"}]}
        return {"message": text}

    @route("POST", "/graphql", "github_graphql")
    def graphql(self, ask):
        given = graphql(ask, "github_graphql", "after", "since")
        since = given.get("since")
        rows = self.rows.live(since=since and read_iso(since, "since"))
        begin = 0
        if given.get("after") is not None:
            begin = int(matched(r"Y3Vyc29yOnY(\d+)==", given["after"])[0])
        rows = sorted(rows, key=lambda row: row.updated)
        nodes = self.paged(self.rows.records(rows), begin, 10)
        self.note("changes" if since else "all", nodes)
        end = f"Y3Vyc29yOnY{begin + len(nodes)}==" if nodes else None
        info = {"hasNextPage": begin + 10 < len(rows), "endCursor": end}
        return {"data": {"repository": {"issues": {"pageInfo": info, "nodes": nodes}}}}


class Gitlab(Api):
    name, title = "gitlab", "GitLab projects and issues"
    origins = ("https://gitlab.com",)
    document = "https://docs.gitlab.com/api/rest/#keyset-based-pagination"
    pages = "Link header (keyset); page number in a header"
    credentials, filter = "header `PRIVATE-TOKEN`", "`updated_after`"

    def begin(self):
        self.is_known = in_header("private-token", self.secret)

    throttle = (429, {"retry-after": "1", "ratelimit-limit": "60", "ratelimit-remaining": "0"})

    def error(self, status, text):
        return {"message": f"{status} {text}"}

    def make(self, row):
        return {
            "id": 400 + row.number,
            "iid": row.number,
            "project_id": 4,
            "title": f"Pump {row.number}",
            "description": None,
            "state": "opened",
            "labels": [],
            "weight": row.version,
            "created_at": iso_ms(row.created),
            "updated_at": iso_ms(row.updated),
            "references": {"short": f"#{row.number}", "full": f"octo/lake#{row.number}"},
        }

    def project(self, row):
        return {
            "id": 70 + row.number,
            "name": f"Pool {row.number}",
            "path_with_namespace": f"octo/pool-{row.number}",
            "star_count": row.version,
            "archived": False,
            "last_activity_at": iso_ms(row.updated),
        }

    def truth(self, poll):
        if poll.endswith("_changes"):
            return self.rows.history
        return [self.project(row) for row in self.rows.live()]

    @route("GET", "/api/v4/projects", "gitlab_projects")
    def projects(self, ask):
        if ask.take("pagination") != "keyset" or ask.take("order_by") != "id":
            raise Refused(405, "keyset pagination needs pagination=keyset and order_by=id")
        sort = ask.fixed("sort", "asc") or "asc"
        limit, after = ask.whole("per_page", 20, 1, 100), ask.whole("id_after", 0)
        ask.fixed("membership", "true")
        records = [self.project(row) for row in self.rows.live()]
        records = [one for one in records if one["id"] > after]
        headers = {}
        if len(records) > limit:
            query = {"pagination": "keyset", "order_by": "id", "sort": sort, "per_page": limit}
            query["id_after"] = records[limit - 1]["id"]
            headers["link"] = link(self.origin, ask.path, query)
        return Answer(records[:limit], headers)

    @route("GET", "/api/v4/projects/{project}/issues", "gitlab_issues")
    def issues(self, ask, project):
        since = ask.take("updated_after")
        ask.fixed("order_by", "created_at", "updated_at")
        ask.fixed("sort", "asc")
        ask.fixed("scope", "all")
        limit, page = ask.whole("per_page", 20, 1, 100), ask.whole("page", 1, 1)
        rows = self.rows.live(since=since and read_iso(since, "updated_after"))
        records = self.paged(self.rows.records(rows), (page - 1) * limit, limit)
        self.note("changes" if since else "all", records)
        more = page * limit < len(rows)
        headers = {
            "x-page": page,
            "x-per-page": limit,
            "x-next-page": page + 1 if more else "",
            "x-total": len(rows),
        }
        return Answer(records, headers)


class Bitbucket(Api):
    name, title = "bitbucket", "Bitbucket pull requests"
    origins = ("https://api.bitbucket.org",)
    document = "https://developer.atlassian.com/cloud/bitbucket/rest/intro/#pagination"
    pages, credentials = "URL in the body", "basic"
    filter = '`q=updated_on > "…"`'

    def begin(self):
        self.is_known = basic("me@example.com", self.secret)

    def error(self, status, text):
        return {"type": "error", "error": {"message": text}}

    def make(self, row):
        stamp = row.updated.strftime("%Y-%m-%dT%H:%M:%S.123456+00:00")
        return {
            "type": "pullrequest",
            "id": row.number,
            "title": f"Raise the weir {row.number}",
            "state": "OPEN",
            "comment_count": row.version,
            "author": {"display_name": "Mo Lake", "uuid": "{1111-2222}"},
            "created_on": row.created.strftime("%Y-%m-%dT%H:%M:%S.123456+00:00"),
            "updated_on": stamp,
        }

    @route("GET", "/2.0/repositories/{space}/{repo}/pullrequests", "bitbucket")
    def requests(self, ask, space, repo):
        limit, page = ask.whole("pagelen", 10, 1, 50), ask.whole("page", 1, 1)
        query, sort = ask.take("q"), ask.fixed("sort", "updated_on", "created_on")
        rows = self.rows.live()
        if query is not None:
            (text,) = matched(r'updated_on >=? "?([^"]+?)"?', query, "q")
            since = read_iso(text, "updated_on").replace(microsecond=0)
            rows = self.rows.live(since=since)
        records = self.paged(self.rows.records(rows), (page - 1) * limit, limit)
        self.note("changes" if query else "all", records)
        body = {"values": records, "pagelen": limit, "size": len(rows), "page": page}
        if page * limit < len(rows):
            more = {"pagelen": limit, "page": page + 1}
            more.update({"q": query} if query else {})
            more.update({"sort": sort} if sort else {})
            body["next"] = f"{self.origin}{ask.path}?{urllib.parse.urlencode(more)}"
        return body


class Sentry(Api):
    name, title = "sentry", "Sentry issues"
    origins = ("https://sentry.io",)
    document = "https://docs.sentry.io/api/pagination/"
    pages = 'Link header that is always there, with `results="false"`'
    credentials, filter = "bearer token", "`query=lastSeen:>…`"

    def throttle_headers():
        return {
            "x-sentry-rate-limit-limit": "40",
            "x-sentry-rate-limit-remaining": "0",
            "x-sentry-rate-limit-reset": str(int(time.time()) + 1),
        }

    throttle = (429, throttle_headers)

    def error(self, status, text):
        return {"detail": text}

    def make(self, row):
        return {
            "id": str(10_000 + row.number),
            "shortId": f"LAKE-{row.number}",
            "title": f"OverflowError: basin {row.number}",
            "culprit": "weir.open",
            "level": "error",
            "status": "unresolved",
            "count": str(row.version * 7),
            "userCount": row.version,
            "firstSeen": iso_ms(row.created),
            "lastSeen": iso_ms(row.updated),
            "metadata": {"type": "OverflowError", "value": f"basin {row.number}"},
            "assignedTo": None,
        }

    @route("GET", "/api/0/organizations/{org}/issues/", "sentry")
    def issues(self, ask, org):
        query, cursor = ask.take("query"), ask.take("cursor", "0:0:0")
        limit = ask.whole("limit", 100, 1, 100)
        ask.fixed("sort", "date", "new")
        rows = self.rows.live()
        if query:
            (since,) = matched(r"lastSeen:>=?(\S+)", query)
            rows = self.rows.live(since=read_iso(since.rstrip('"').lstrip('"'), "lastSeen"))
        begin = int(matched(r"0:(\d+):0", cursor, "cursor")[0])
        records = self.paged(self.rows.records(rows), begin, limit)
        self.note("changes" if query else "all", records)
        links = []
        for rel, at, there in (
            ("previous", max(0, begin - limit), begin > 0),
            ("next", begin + limit, begin + limit < len(rows)),
        ):
            params = {"limit": limit, "cursor": f"0:{at}:0"}
            if query:
                params["query"] = query
            results = f'; results="{str(there).lower()}"; cursor="0:{at}:0"'
            links.append(link(self.origin, ask.path, params, rel) + results)
        return Answer(records, {"link": ", ".join(links)})


class Pagerduty(Api):
    name, title = "pagerduty", "PagerDuty incidents"
    origins = ("https://api.pagerduty.com",)
    document = "https://developer.pagerduty.com/docs/pagination"
    pages, credentials = "offset, with `more`", "header `Authorization: Token token=…`"
    filter = "`since` and `until`, by `created_at`"

    prefix = "Token token="

    def begin(self):
        self.is_known = in_header("authorization", self.prefix + self.secret)

    throttle = (429, {"ratelimit-limit": "960", "ratelimit-remaining": "0", "ratelimit-reset": "1"})

    def error(self, status, text):
        return {"error": {"message": text, "code": 2001}}

    def make(self, row):
        return {
            "id": f"PT4K{row.number:04}",
            "type": "incident",
            "incident_number": row.number,
            "title": f"Dam {row.number} is high",
            "status": "resolved",
            "urgency": "high",
            "created_at": iso(row.created),
            "service": {"id": "PIJ90N7", "type": "service_reference", "summary": "Dam"},
            "assignments": [],
        }

    def advance(self):
        for _ in range(5):
            self.rows.add()

    @route("GET", "/incidents", "pagerduty")
    def incidents(self, ask):
        limit, offset = ask.whole("limit", 25, 1, 100), ask.whole("offset", 0, 0, 10_000)
        since, until = ask.take("since"), ask.take("until")
        ask.fixed("date_range", "all")
        ask.fixed("sort_by", "created_at:asc")
        ask.fixed("total", "true", "false")
        rows = self.rows.live(since=since and read_iso(since, "since"), key="created")
        if until:
            end = read_iso(until, "until")
            rows = [row for row in rows if row.created < end]
        records = self.paged(self.rows.records(rows), offset, limit)
        self.note("changes" if since else "all", records)
        more = offset + limit < len(rows)
        return {
            "incidents": records,
            "limit": limit,
            "offset": offset,
            "more": more,
            "total": None,
        }


class Datadog(Api):
    name, title = "datadog", "Datadog logs (search)"
    origins = ("https://api.datadoghq.com",)
    document = "https://docs.datadoghq.com/api/latest/logs/#search-logs-post"
    pages, credentials = "POST, cursor in the body", "two headers"
    filter = "`filter.from` in the body"

    def begin(self):
        both = in_header("dd-api-key", "4p1-k3y"), in_header("dd-application-key", self.secret)
        self.is_known = lambda ask: all(one(ask) for one in both)

    throttle = (429, {"x-ratelimit-limit": "300", "x-ratelimit-period": "1",
                      "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"})  # fmt: skip

    def error(self, status, text):
        return {"errors": [text]}

    def make(self, row):
        return {
            "id": f"AwAAAX{row.number:04}",
            "type": "log",
            "attributes": {
                "timestamp": iso_ms(row.created),
                "service": "weir",
                "status": "info",
                "message": f"gate {row.number} moved",
                "host": "weir-1",
                "tags": ["env:prod", f"gate:{row.number}"],
                "attributes": {"duration": row.number * 1.5, "user": None},
            },
        }

    def advance(self):
        for _ in range(5):
            self.rows.add()

    @route("POST", "/api/v2/logs/events/search", "datadog")
    def search(self, ask):
        body = ask.json("filter", "page", "sort", "options")
        wanted = known(body.get("filter", {}), "from", "to", "query", "indexes")
        page = known(body.get("page", {}), "cursor", "limit")
        if body.get("sort") not in (None, "timestamp", "-timestamp"):
            raise Refused(400, "sort must be timestamp or -timestamp")
        limit, since = page.get("limit", 10), wanted.get("from")
        if not isinstance(limit, int) or not 1 <= limit <= 1000:
            raise Refused(400, f"page.limit: {limit!r}")
        # Without a beginning, it looks at the last 15 minutes.
        rows = []
        if since is not None:
            rows = self.rows.live(since=read_iso(since, "filter.from"), key="created")
        begin = 0
        if page.get("cursor") is not None:
            begin = int(matched(r"eyJhZnRlciI6(\d+)", page["cursor"], "page.cursor")[0])
        records = self.paged(self.rows.records(rows), begin, limit)
        self.note("changes", records)
        meta = {"elapsed": 132, "request_id": "MWlFUjVa", "status": "done"}
        if begin + limit < len(rows):
            meta["page"] = {"after": f"eyJhZnRlciI6{begin + limit}"}
        return {"data": records, "meta": meta}
