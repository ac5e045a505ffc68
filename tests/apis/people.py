"""Fakes of directories of people."""

import time
import urllib.parse

from chat import OnlyNew
from crm import Tokens
from fake import Answer, Api, Refused, in_header, iso, iso_ms, matched, read_iso, route
from software import link


class Okta(Api):
    """What the fakes of Okta share."""

    origins = ("https://example.okta.com",)
    credentials = "header `Authorization: SSWS …`"

    def throttle_headers():
        return {"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(int(time.time()) + 1)}

    throttle = (429, throttle_headers)

    prefix = "SSWS "

    def begin(self):
        self.is_known = in_header("authorization", self.prefix + self.secret)

    def error(self, status, text):
        return {"errorCode": "E0000031", "errorSummary": text, "errorId": "sampleiCF", "errorCauses": []}


class OktaUsers(Okta):
    name, title = "okta_users", "Okta users"
    document = "https://developer.okta.com/docs/api/openapi/okta-management/management/tag/User/"
    pages, filter = "Link header", '`search=lastUpdated ge "…"`'

    def make(self, row):
        return {
            "id": f"00ub0oNGTSWTBKOL{row.number:04}",
            "status": "ACTIVE",
            "created": iso_ms(row.created),
            "lastLogin": None,
            "lastUpdated": iso_ms(row.updated),
            "profile": {"login": f"skipper{row.number}@example.com", "mobilePhone": None, "city": f"Port {row.version}"},
            "credentials": {"provider": {"type": "OKTA", "name": "OKTA"}},
        }

    @route("GET", "/api/v1/users", "okta_users")
    def users(self, ask):
        limit, after, search = ask.whole("limit", 200, 1, 200), ask.take("after"), ask.take("search")
        rows = self.rows.live()
        if search is not None:
            (since,) = matched(r'lastUpdated g[et] "([^"]*)"', search, "search")
            rows = self.rows.live(since=read_iso(since, "search"))
        begin = int(matched(r"00ub0oNGTSWTBKOL(\d+)", after, "after")[0]) if after else 0
        records = self.paged(self.rows.records(rows), begin, limit)
        self.note("changes" if search else "all", records)
        query = {"search": search} if search else {}
        links = [link(self.origin, ask.path, {"limit": limit, **query}, "self")]
        if begin + limit < len(rows):
            query = {"after": f"00ub0oNGTSWTBKOL{begin + limit}", "limit": limit, **query}
            links.append(link(self.origin, ask.path, query))
        return Answer(records, {"link": ", ".join(links)})


class OktaLogs(OnlyNew, Okta):
    name, title = "okta_logs", "Okta system log"
    document = "https://developer.okta.com/docs/api/openapi/okta-management/management/tag/SystemLog/"
    pages, filter = "Link header that is always there", "`since`"

    def make(self, row):
        return {
            "uuid": f"dc9fd3c0-598c-11ef-8478-{row.number:012}",
            "published": iso_ms(row.created),
            "eventType": "user.session.start",
            "severity": "INFO",
            "displayMessage": f"Skipper {row.number} came aboard",
            "actor": {"id": "00u3", "type": "User", "displayName": None},
            "target": None,
        }

    @route("GET", "/api/v1/logs", "okta_logs")
    def logs(self, ask):
        limit, after, since = ask.whole("limit", 100, 0, 1000), ask.take("after"), ask.take("since")
        ask.fixed("sortOrder", "ASCENDING")
        rows = self.rows.live(since=since and read_iso(since, "since"), key="created")
        begin = int(matched(r"1627500044869_(\d+)", after, "after")[0]) if after else 0
        records = self.paged(self.rows.records(rows), begin, limit)
        self.note("changes" if since else "all", records)
        query = {"since": since} if since else {}
        query = {**query, "limit": limit, "sortOrder": "ASCENDING"}
        following = {**query, "after": f"1627500044869_{begin + len(records)}"}
        links = [link(self.origin, ask.path, query, "self"), link(self.origin, ask.path, following)]
        return Answer(records, {"link": ", ".join(links)})


class Scim(Api):
    name, title = "scim", "SCIM directory"
    origins = ("https://scim.example.com",)
    document = "https://www.rfc-editor.org/rfc/rfc7644#section-3.4.2.4"
    pages, credentials = "offset from 1 (`startIndex`), with `totalResults`", "bearer token"
    filter = '`filter=meta.lastModified ge "…"`'

    def error(self, status, text):
        return {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "scimType": "invalidFilter",
            "detail": text,
            "status": str(status),
        }

    def make(self, row):
        return {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "id": f"2819c223-7f76-453a-919d-{row.number:012}",
            "userName": f"bjensen{row.number}",
            "active": True,
            "name": {"familyName": "Jensen", "givenName": f"Barbara {row.version}"},
            "emails": [{"value": f"b{row.number}@example.com", "primary": True}],
            "meta": {"resourceType": "User", "created": iso(row.created), "lastModified": iso(row.updated)},
        }

    @route("GET", "/v2/Users", "scim")
    def users(self, ask):
        start, count, wanted = ask.whole("startIndex", 1), ask.whole("count", 10), ask.take("filter")
        ask.fixed("sortBy", "meta.lastModified", "id")
        # A value below 1 means 1 (section 3.4.2.4).
        start = max(start, 1)
        rows = self.rows.live()
        if wanted is not None:
            (since,) = matched(r'meta\.lastModified ge "([^"]*)"', wanted, "filter")
            rows = self.rows.live(since=read_iso(since, "filter"))
        records = self.paged(self.rows.records(rows), start - 1, min(count, 10))
        self.note("changes" if wanted else "all", records)
        body = {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": len(rows),
            "startIndex": start,
            "itemsPerPage": len(records),
        }
        if records:
            body["Resources"] = records
        return Answer(body, kind="application/scim+json")


class Graph(Tokens, Api):
    name, title = "graph", "Microsoft Graph users (OData delta)"
    origins = ("https://graph.microsoft.com", "https://login.microsoftonline.com")
    document = "https://learn.microsoft.com/en-us/graph/delta-query-users"
    pages, credentials = "`@odata.nextLink`", "OAuth 2 client credentials"
    filter = "`@odata.deltaLink`, kept between runs"
    token_form = {"grant_type": "client_credentials", "scope": "https://graph.microsoft.com/.default"}

    def begin(self):
        super().begin()
        self.removed = []

    def error(self, status, text):
        return {"error": {"code": "BadRequest", "message": text, "innerError": {"request-id": "1"}}}

    def make(self, row):
        return {
            "id": f"87d349ed-44d7-43e1-9a83-{row.number:012}",
            "displayName": f"Adele {row.number}, {row.version}",
            "jobTitle": None if row.number % 2 else f"Pilot {row.version}",
            "accountEnabled": True,
        }

    def tombstone(self, row):
        return {"id": self.make(row)["id"], "@removed": {"reason": "changed"}}

    def advance(self):
        super().advance()
        self.removed = [self.rows.by_number[number] for number in (3, 7)]

    def truth(self, poll):
        if poll.endswith("_changes"):
            return self.rows.history + [self.tombstone(row) for row in self.removed]
        return self.rows.records()

    @route("POST", "/tenant-1/oauth2/v2.0/token", guarded=False)
    def tokens(self, ask):
        return self.issue(ask, expires_in=3599, ext_expires_in=3599)

    @route("GET", "/v1.0/users", "graph_users")
    def users(self, ask):
        if ask.must("$select") != "id,displayName,jobTitle,accountEnabled":
            raise Refused(400, "$select")
        top, token = ask.whole("$top", 100, 1, 999), ask.take("$skiptoken")
        begin = int(matched(r"RFNwdAIAAQ(\d+)", token, "$skiptoken")[0]) if token else 0
        value = self.paged(self.rows.records(), begin, top)
        body = {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users", "value": value}
        if begin + top < len(self.rows.live()):
            query = {"$select": "id,displayName,jobTitle,accountEnabled", "$top": top}
            query["$skiptoken"] = f"RFNwdAIAAQ{begin + top}"
            body["@odata.nextLink"] = f"{self.origin}{ask.path}?{urllib.parse.urlencode(query)}"
        return body

    @route("GET", "/v1.0/users/delta", "graph_delta")
    def delta(self, ask):
        skip, token = ask.take("$skiptoken"), ask.take("$deltatoken")
        if skip is None and token is None and ask.take("$select") != "id,displayName,jobTitle,accountEnabled":
            raise Refused(400, "$select")
        after, begin = 0, 0
        if skip is not None:
            after, begin = map(int, matched(r"oEcOySpF(\d+)-(\d+)", skip, "$skiptoken"))
        if token is not None:
            after = int(matched(r"oEBwdSP6(\d+)", token, "$deltatoken")[0])
        # A token is the number of versions and removals that were shown before it.
        log = self.truth("_changes")
        if after == 0:
            gone = {one["id"] for one in log if "@removed" in one}
            there = {one["id"]: one for one in log if "@removed" not in one}
            log = [one for key, one in there.items() if key not in gone] if gone else log
        else:
            log = log[after:]
        value = self.paged(log, begin, 10)
        self.note("changes", value)
        body = {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users", "value": value}
        if begin + 10 < len(log):
            body["@odata.nextLink"] = f"{self.origin}{ask.path}?$skiptoken=oEcOySpF{after}-{begin + 10}"
        else:
            end = len(self.truth("_changes"))
            body["@odata.deltaLink"] = f"{self.origin}{ask.path}?$deltatoken=oEBwdSP6{end}"
        return body
