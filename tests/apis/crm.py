"""Fakes of APIs that know customers and their troubles."""

import time
import urllib.parse

from fake import Answer, Api, Refused, basic, epoch, in_header, iso, iso_ms, known
from fake import matched, read_epoch, read_iso, route, same


class Tokens:
    """A token server for client credentials. Tokens are refused once the rows have advanced."""

    token_form = {}

    def begin(self):
        self.issued = 0
        self.is_known = lambda ask: same(ask.headers.get("authorization"), f"Bearer {self.token()}")

    def token(self):
        return f"t0ken-{self.issued}"

    def advance(self):
        self.issued += 1
        super().advance()

    def issue(self, ask, **more):
        form = ask.form(*self.token_form, "client_id", "client_secret")
        user, password = form.pop("client_id", None), form.pop("client_secret", None)
        if not (user == "client-1" and password == self.secret) and not basic(
            "client-1", self.secret
        )(ask):
            return Answer({"error": "invalid_client"}, status=401)
        if form != self.token_form:
            raise Refused(400, f"the form is {form}")
        self.issued += 1
        return {"access_token": self.token(), "token_type": "Bearer", **more}


class Salesforce(Tokens, Api):
    name, title = "salesforce", "Salesforce query (SOQL)"
    origins = ("https://example.my.salesforce.com",)
    document = (
        "https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_query.htm"
    )
    pages, credentials = "path in `nextRecordsUrl`", "OAuth 2 client credentials"
    filter = "`SystemModstamp` in SOQL"
    token_form = {"grant_type": "client_credentials"}
    throttle = (503, {})

    def error(self, status, text):
        return [{"message": text, "errorCode": "MALFORMED_QUERY"}]

    def make(self, row):
        return {
            "attributes": {
                "type": "Opportunity",
                "url": f"/services/data/v60.0/sobjects/Opportunity/006D{row.number:014}",
            },
            "Id": f"006D{row.number:014}",
            "Name": f"Lock {row.number}",
            "Amount": row.number * 1000.5 if row.number % 3 else None,
            "StageName": f"Stage {row.version}",
            "SystemModstamp": row.updated.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        }

    @route("POST", "/services/oauth2/token", guarded=False)
    def tokens(self, ask):
        return self.issue(
            ask, instance_url=self.origin, id="https://login.salesforce.com/id/00D/005",
            issued_at="1772352000000", signature="c2lnbmVk",
        )  # fmt: skip

    @route("GET", "/services/data/v60.0/query", "salesforce")
    def query(self, ask):
        columns = "Id, Name, Amount, StageName, SystemModstamp"
        pattern = (
            rf"SELECT {columns} FROM Opportunity(?: WHERE SystemModstamp >= (\S+))?"
            r" ORDER BY SystemModstamp"
        )
        (since,) = matched(pattern, ask.must("q"), "q")
        if since and not since.endswith("Z"):
            raise Refused(400, f"{since} is not a dateTime literal")
        return self.from_row(0, since)

    @route("GET", "/services/data/v60.0/query/{locator}", "salesforce")
    def more(self, ask, locator):
        since, begin = matched(r"01gRO0000(\d*)-(\d+)", locator, "the query locator")
        return self.from_row(int(begin), since and iso(read_epoch(since)))

    def from_row(self, begin, since):
        rows = self.rows.live(since=read_iso(since) if since else self.rows.live()[0].created)
        records = self.paged(self.rows.records(rows), begin, 10)
        self.note("changes" if since else "all", records)
        body = {"totalSize": len(rows), "done": begin + 10 >= len(rows)}
        if not body["done"]:
            mark = epoch(read_iso(since)) if since else ""
            body["nextRecordsUrl"] = f"/services/data/v60.0/query/01gRO0000{mark}-{begin + 10}"
        return {**body, "records": records}


class Dynamics(Tokens, Api):
    name, title = "dynamics", "Dynamics 365 accounts (OData)"
    origins = ("https://example.crm.dynamics.com", "https://login.microsoftonline.com")
    document = (
        "https://learn.microsoft.com/en-us/power-apps/developer/data-platform/webapi/query/page-results"
    )
    pages, credentials = "`@odata.nextLink`", "OAuth 2 client credentials"
    filter = "`$filter=modifiedon ge …`"
    token_form = {
        "grant_type": "client_credentials",
        "scope": "https://example.crm.dynamics.com/.default",
    }

    def error(self, status, text):
        return {"error": {"code": "0x80060888", "message": text}}

    def make(self, row):
        return {
            "@odata.etag": f'W/"{79_000 + row.version}"',
            "accountid": f"2b6a5c8e-0000-0000-0000-{row.number:012}",
            "name": f"Harbour {row.number}",
            "revenue": row.number * 1.25 if row.number % 2 else None,
            "modifiedon": iso(row.updated),
            "statecode": 0,
        }

    @route("POST", "/tenant-1/oauth2/v2.0/token", guarded=False)
    def tokens(self, ask):
        return self.issue(ask, expires_in=3599, ext_expires_in=3599)

    @route("GET", "/api/data/v9.2/accounts", "dynamics")
    def accounts(self, ask):
        if ask.must("$select") != "accountid,name,revenue,modifiedon,statecode":
            raise Refused(400, "$select")
        if ask.headers.get("odata-version", "4.0") != "4.0":
            raise Refused(400, "OData-Version")
        wanted, order = ask.take("$filter"), ask.fixed("$orderby", "modifiedon asc", "modifiedon")
        size = matched(r"odata\.maxpagesize=(\d+)", ask.headers.get("prefer"), "Prefer")[0]
        token, size = ask.take("$skiptoken"), int(size)
        rows = self.rows.live()
        if wanted is not None:
            (since,) = matched(r"modifiedon ge (\S+)", wanted, "$filter")
            rows = self.rows.live(since=read_iso(since, "$filter"))
        begin = int(matched(r"<cookie pagenumber=(\d+) />", token)[0]) if token else 0
        value = self.paged(self.rows.records(rows), begin, size)
        self.note("changes" if wanted else "all", value)
        body = {"@odata.context": f"{self.origin}/api/data/v9.2/$metadata#accounts", "value": value}
        if begin + size < len(rows):
            query = {"$select": "accountid,name,revenue,modifiedon,statecode"}
            query.update({"$filter": wanted} if wanted else {})
            query.update({"$orderby": order} if order else {})
            query["$skiptoken"] = f"<cookie pagenumber={begin + size} />"
            body["@odata.nextLink"] = f"{self.origin}{ask.path}?{urllib.parse.urlencode(query)}"
        return body


class Hubspot(Api):
    name, title = "hubspot", "HubSpot contacts (list and search)"
    origins = ("https://api.hubapi.com",)
    document = "https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/search/search-contacts"
    pages, credentials = "cursor (`after`), also in a POST body", "bearer token"
    filter = "`filterGroups`, `lastmodifieddate` in ms"
    throttle = (429, {"x-hubspot-ratelimit-remaining": "0", "x-hubspot-ratelimit-interval-milliseconds": "1000"})  # fmt: skip

    def error(self, status, text):
        return {"status": "error", "message": text, "correlationId": "aeb5f871"}

    def make(self, row):
        return {
            "id": str(500 + row.number),
            "properties": {
                "createdate": iso_ms(row.created),
                "email": f"fisher{row.number}@example.com",
                "firstname": "Frida" if row.number % 3 else None,
                "lastmodifieddate": iso_ms(row.updated),
                "visits": str(row.version),
            },
            "createdAt": iso_ms(row.created),
            "updatedAt": iso_ms(row.updated),
            "archived": False,
        }

    def page(self, rows, begin, limit, kind):
        results = self.note(kind, self.paged(self.rows.records(rows), begin, limit))
        body = {"results": results}
        if begin + limit < len(rows):
            after = str(begin + limit)
            link = f"https://api.hubapi.com/crm/v3/objects/contacts?after={after}"
            body["paging"] = {"next": {"after": after, "link": link}}
        return body

    @route("GET", "/crm/v3/objects/contacts", "hubspot_list")
    def contacts(self, ask):
        limit, after = ask.whole("limit", 10, 1, 100), ask.whole("after", 0)
        if ask.take("properties") != "createdate,email,firstname,lastmodifieddate,visits":
            raise Refused(400, "properties")
        return self.page(self.rows.live(), after, limit, "all")

    @route("POST", "/crm/v3/objects/contacts/search", "hubspot_search")
    def search(self, ask):
        body = ask.json("filterGroups", "sorts", "properties", "limit", "after", "query")
        if "after" in body and not isinstance(body["after"], str):
            raise Refused(400, f"after: {body['after']!r}")
        (group,) = body["filterGroups"]
        (wanted,) = group["filters"]
        known(wanted, "propertyName", "operator", "value")
        if wanted["propertyName"] != "lastmodifieddate" or wanted["operator"] != "GTE":
            raise Refused(400, f"the filter {wanted}")
        since = read_epoch(wanted["value"], "value", 1000)
        rows = self.rows.live(since=since)
        begin = int(matched(r"(\d+)", body.get("after", "0"), "after")[0])
        return {"total": len(rows), **self.page(rows, begin, body.get("limit", 10), "changes")}


class Intercom(Api):
    name, title = "intercom", "Intercom contacts (search)"
    origins = ("https://api.intercom.io",)
    document = "https://developers.intercom.com/docs/references/rest-api/api.intercom.io/contacts/searchcontacts"
    pages, credentials = "POST, cursor in the body", "bearer token"
    filter = "`query` on `updated_at`, in s"

    def throttle_headers():
        return {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 1)}

    throttle = (429, throttle_headers)

    def error(self, status, text):
        return {"type": "error.list", "errors": [{"code": "parameter_invalid", "message": text}]}

    def make(self, row):
        return {
            "type": "contact",
            "id": f"5ba682d23d7cf92bef87{row.number:04}",
            "role": "user",
            "email": f"rower{row.number}@example.com",
            "phone": None,
            "created_at": epoch(row.created),
            "updated_at": epoch(row.updated),
            "custom_attributes": {"boats": row.version},
            "tags": {"type": "list", "data": [], "total_count": 0},
        }

    @route("POST", "/contacts/search", "intercom")
    def search(self, ask):
        body = ask.json("query", "pagination")
        query = known(body["query"], "field", "operator", "value")
        pages = known(body.get("pagination", {}), "per_page", "starting_after")
        if query["field"] != "updated_at" or query["operator"] != ">":
            raise Refused(400, f"the query {query}")
        if not isinstance(query["value"], (int, str)):
            raise Refused(400, f"value: {query['value']!r}")
        after = read_epoch(query["value"], "value")
        size, cursor = pages.get("per_page", 50), pages.get("starting_after")
        rows = self.rows.live(after=after)
        begin = int(matched(r"WzE3MzU(\d+)", cursor, "starting_after")[0]) if cursor else 0
        data = self.paged(self.rows.records(rows), begin, size)
        self.note("changes" if epoch(after) > 1_767_225_600 else "all", data)
        page, last = begin // size + 1, -(-len(rows) // size)
        about = {"type": "pages", "page": page, "per_page": size, "total_pages": last}
        about["next"] = None
        if page < last:
            about["next"] = {"page": page + 1, "starting_after": f"WzE3MzU{begin + size}"}
        return {"type": "list", "data": data, "total_count": len(rows), "pages": about}


class Pipedrive(Api):
    name, title = "pipedrive", "Pipedrive deals"
    origins = ("https://example.pipedrive.com",)
    document = "https://developers.pipedrive.com/docs/api/v1/Deals#getDeals"
    pages, credentials = "cursor (null at the end)", "header `x-api-token`"
    filter = "`updated_since`"
    throttle = (429, {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"})  # fmt: skip

    def begin(self):
        self.is_known = in_header("x-api-token", self.secret)

    def error(self, status, text):
        return {"success": False, "error": text, "code": "ERR_SCHEMA_VALIDATION_FAILED"}

    def make(self, row):
        return {
            "id": row.number,
            "title": f"Ferry {row.number}",
            "value": row.number * 99.95,
            "currency": "EUR",
            "status": "open",
            "lost_reason": None,
            "stage_id": row.version,
            "add_time": iso(row.created),
            "update_time": iso(row.updated),
        }

    @route("GET", "/api/v2/deals", "pipedrive")
    def deals(self, ask):
        limit, cursor = ask.whole("limit", 100, 1, 500), ask.take("cursor")
        since = ask.take("updated_since")
        ask.fixed("sort_by", "id", "update_time")
        ask.fixed("sort_direction", "asc")
        if since and not since.endswith("Z"):
            raise Refused(400, "updated_since: expected RFC 3339")
        rows = self.rows.live(since=since and read_iso(since, "updated_since"))
        begin = int(matched(r"eyJmaWVsZCI6(\d+)", cursor, "cursor")[0]) if cursor else 0
        data = self.paged(self.rows.records(rows), begin, limit)
        self.note("changes" if since else "all", data)
        more = f"eyJmaWVsZCI6{begin + limit}" if begin + limit < len(rows) else None
        return {"success": True, "data": data, "additional_data": {"next_cursor": more}}


class Freshdesk(Api):
    name, title = "freshdesk", "Freshdesk tickets"
    origins = ("https://example.freshdesk.com",)
    document = "https://developers.freshdesk.com/api/#pagination"
    pages, credentials = "page number until one is short; Link header", "basic"
    filter = "`updated_since`"

    def begin(self):
        self.is_known = basic(self.secret, "X")

    def error(self, status, text):
        return {"description": "Validation failed", "errors": [{"message": text, "code": "invalid_value"}]}

    def make(self, row):
        return {
            "id": row.number,
            "subject": f"Wet feet {row.number}",
            "status": 2,
            "priority": row.version,
            "type": None,
            "cc_emails": [],
            "spam": False,
            "created_at": iso(row.created),
            "updated_at": iso(row.updated),
        }

    @route("GET", "/api/v2/tickets", "freshdesk")
    def tickets(self, ask):
        size, page = ask.whole("per_page", 30, 1, 100), ask.whole("page", 1, 1, 300)
        since = ask.take("updated_since")
        order = ask.fixed("order_by", "created_at", "updated_at", "status")
        kind = ask.fixed("order_type", "asc", "desc")
        # Without a time, it shows what was made within the last 30 days: nothing.
        rows = self.rows.live(since=read_iso(since, "updated_since")) if since else []
        data = self.paged(self.rows.records(rows), (page - 1) * size, size)
        self.note("changes" if since else "all", data)
        headers = {}
        if page * size < len(rows):
            query = {"page": page + 1, "per_page": size}
            query.update({"updated_since": since} if since else {})
            query.update({"order_by": order} if order else {})
            query.update({"order_type": kind} if kind else {})
            url = f"{self.origin}{ask.path}?{urllib.parse.urlencode(query)}"
            headers["link"] = f'<{url}>; rel="next"'
        return Answer(data, headers)


class Zendesk(Api):
    """What the fakes of Zendesk share."""

    origins = ("https://example.zendesk.com",)
    credentials = "basic"

    def begin(self):
        self.is_known = basic("me@example.com/token", self.secret)

    def error(self, status, text):
        return {"error": "InvalidParameter", "description": text}

    def cursored(self, ask, what):
        size = ask.whole("page[size]", None, 1, 100)
        if size is None:
            raise Refused(400, "page[size] is missing")
        after = ask.take("page[after]")
        begin = int(matched(r"eyJvIjoibmljZV9pZCIs(\d+)", after)[0]) if after else 0
        rows = self.rows.live()
        records = self.note("all", self.paged(self.rows.records(rows), begin, size))
        more = begin + size < len(rows)
        cursor, url = f"eyJvIjoibmljZV9pZCIs{begin + size}", f"{self.origin}{ask.path}"
        query = urllib.parse.urlencode({"page[size]": size, "page[after]": cursor})
        # There is always a cursor; only `has_more` says whether a page follows.
        return {
            what: records,
            "meta": {"has_more": more, "after_cursor": cursor, "before_cursor": None},
            "links": {"prev": None, "next": f"{url}?{query}" if more else None},
        }


class ZendeskTickets(Zendesk):
    name, title = "zendesk_tickets", "Zendesk tickets (incremental, by cursor)"
    document = "https://developer.zendesk.com/api-reference/ticketing/ticket-management/incremental_exports/"
    pages = "cursor that is always there, until `end_of_stream`"
    filter = "`cursor`, kept between runs"

    def make(self, row):
        return {
            "id": 35_000 + row.number,
            "subject": f"My boat leaks {row.number}",
            "status": "deleted" if row.deleted else "open",
            "priority": None,
            "tags": ["boat"],
            "generated_timestamp": epoch(row.updated),
            "created_at": iso(row.created),
            "updated_at": iso(row.updated),
            "satisfaction_rating": {"score": "unoffered"},
        }

    def advance(self):
        super().advance()
        self.rows.history += [self.make(self.rows.by_number[number]) for number in (3, 7)]

    @route("GET", "/api/v2/tickets", "zendesk_tickets_list")
    def tickets(self, ask):
        return self.cursored(ask, "tickets")

    @route("GET", "/api/v2/incremental/tickets/cursor", "zendesk_tickets")
    def incremental(self, ask):
        cursor, start = ask.take("cursor"), ask.take("start_time")
        size = ask.whole("per_page", 1000, 1, 1000)
        if (cursor is None) == (start is None):
            raise Refused(400, "either start_time or cursor")
        after = read_epoch(cursor and matched(r"MTU3NjYx(\d+)", cursor)[0] or start)
        rows = self.rows.everything(**({"after": after} if cursor else {"since": after}))
        tickets = self.note("changes", self.rows.records(rows)[:size])
        end = epoch(rows[len(tickets) - 1].updated) if tickets else epoch(after)
        url = f"{self.origin}{ask.path}?cursor=MTU3NjYx{end}"
        return {
            "tickets": tickets,
            "after_url": url,
            "before_url": None,
            "after_cursor": f"MTU3NjYx{end}",
            "before_cursor": None,
            "end_of_stream": len(rows) <= size,
        }


class ZendeskUsers(Zendesk):
    name, title = "zendesk_users", "Zendesk users (incremental, by time)"
    document = "https://developer.zendesk.com/documentation/ticketing/managing-tickets/using-the-incremental-export-api/"
    pages = "URL that is always there, until `end_of_stream`"
    filter = "`start_time` in s"

    def make(self, row):
        return {
            "id": 1_268_000 + row.number,
            "name": f"Ahab {row.number}",
            "email": None,
            "role": "end-user",
            "tags": [],
            "time_zone": "Copenhagen",
            "created_at": iso(row.created),
            "updated_at": iso(row.updated),
            "user_fields": {"whales": row.version},
        }

    @route("GET", "/api/v2/users", "zendesk_users_list")
    def users(self, ask):
        return self.cursored(ask, "users")

    @route("GET", "/api/v2/incremental/users", "zendesk_users")
    def incremental(self, ask):
        start, size = read_epoch(ask.must("start_time"), "start_time"), ask.whole("per_page", 10, 2)
        rows = self.rows.live(since=start)
        users = self.note("changes", self.rows.records(rows)[:size])
        end = epoch(rows[len(users) - 1].updated) if users else epoch(start)
        # The next page begins with the last record of this one.
        query = urllib.parse.urlencode({"start_time": end, "per_page": size})
        return {
            "users": users,
            "next_page": f"{self.origin}{ask.path}?{query}",
            "end_time": end,
            "count": len(users),
            "end_of_stream": len(rows) <= size,
        }
