"""Fakes of APIs of messages: chats, mail, links that people talk about."""

import time
import urllib.parse

from fake import Answer, Api, Refused, basic, bearer, epoch, in_header, matched, nobody
from fake import read_epoch, read_iso, route


class OnlyNew(Api):
    """What never changes once it is there: five rows are new."""

    def advance(self):
        for _ in range(5):
            self.rows.add()


class Slack(OnlyNew):
    name, title = "slack", "Slack messages"
    origins = ("https://slack.com",)
    document = "https://docs.slack.dev/apis/web-api/pagination/"
    pages, credentials = "cursor (empty text at the end)", "bearer token"
    filter = "`oldest`, a time with microseconds"

    def error(self, status, text):
        return {"ok": False, "error": "invalid_auth" if status == 401 else "invalid_arguments"}

    def answer(self, method, target, headers, raw):
        answer = super().answer(method, target, headers, raw)
        # Its errors have the status 200, but for too many requests and for faults of the service.
        answer.status = 200 if answer.status in (400, 401, 404) else answer.status
        return answer

    def stamp(self, row):
        return f"{epoch(row.created)}.{row.number:06}"

    def make(self, row):
        return {
            "type": "message",
            "user": f"U{row.number:08}",
            "text": f"ahoy {row.number} <https://example.com|here>",
            "ts": self.stamp(row),
            **({"reactions": [{"name": "anchor", "count": 1}]} if row.number % 3 == 0 else {}),
        }

    @route("GET", "/api/conversations.history", "slack")
    def history(self, ask):
        if ask.must("channel") != "C012AB3CD":
            raise Refused(404, "channel_not_found")
        limit, cursor, oldest = ask.whole("limit", 100, 1, 999), ask.take("cursor"), None
        oldest = ask.take("oldest")
        rows = self.rows.live()[::-1]
        if oldest is not None:
            seconds, micros = matched(r"(\d{10})(?:\.(\d{6}))?", oldest, "oldest")
            mark = f"{seconds}.{micros or '000000'}"
            rows = [row for row in rows if self.stamp(row) > mark]
        begin = int(matched(r"bmV4dF90czox(\d+)", cursor, "cursor")[0]) if cursor else 0
        messages = self.paged(self.rows.records(rows), begin, limit)
        self.note("changes" if oldest else "all", messages)
        more = begin + limit < len(rows)
        following = f"bmV4dF90czox{begin + limit}" if more else ""
        return {
            "ok": True,
            "messages": messages,
            "has_more": more,
            "pin_count": 0,
            "response_metadata": {"next_cursor": following},
        }


class Discord(OnlyNew):
    name, title = "discord", "Discord members and messages"
    origins = ("https://discord.com",)
    document = "https://docs.discord.com/developers/resources/message#get-channel-messages"
    pages, credentials = "`after` the id of the last record", "header `Authorization: Bot …`"
    filter = "`after` an id"
    throttle = (429, {"retry-after": "1", "x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "0.65"})  # fmt: skip

    prefix = "Bot "

    def begin(self):
        self.is_known = in_header("authorization", self.prefix + self.secret)

    def error(self, status, text):
        return {"message": text, "code": 50035 if status == 400 else 0}

    def make(self, row):
        return {
            "id": str(1_100_000_000_000_000_000 + row.number * 4_194_304),
            "type": 0,
            "content": f"Land {row.number}!",
            "channel_id": "290926798999357250",
            "author": {"id": "53908099506183680", "username": "mason", "bot": False},
            "timestamp": row.created.strftime("%Y-%m-%dT%H:%M:%S.100000+00:00"),
            "edited_timestamp": None,
            "pinned": False,
            "embeds": [],
        }

    def member(self, row):
        return {
            "user": {"id": str(80_351_110_224_678_912 + row.number), "username": f"mate{row.number}"},
            "nick": None if row.number % 2 else f"Mate {row.number}",
            "roles": [],
            "joined_at": row.created.strftime("%Y-%m-%dT%H:%M:%S.000000+00:00"),
            "deaf": False,
        }

    def truth(self, poll):
        if poll.endswith("_changes"):
            return self.rows.history
        return [self.member(row) for row in self.rows.live()]

    @route("GET", "/api/v10/guilds/{guild}/members", "discord_members")
    def members(self, ask, guild):
        limit, after = ask.whole("limit", 1, 1, 1000), ask.whole("after", 0)
        members = [self.member(row) for row in self.rows.live()]
        return [one for one in members if int(one["user"]["id"]) > after][:limit]

    @route("GET", "/api/v10/channels/{channel}/messages", "discord_messages")
    def messages(self, ask, channel):
        limit, after = ask.whole("limit", 50, 1, 100), ask.whole("after", high=2**63 - 1)
        records = self.rows.records()
        if after is None:
            return records[::-1][:limit]
        records = [one for one in records if int(one["id"]) > after]
        return self.note("changes", records[:limit])[::-1]


class Twilio(OnlyNew):
    name, title = "twilio", "Twilio messages"
    origins = ("https://api.twilio.com",)
    document = "https://www.twilio.com/docs/usage/twilios-response#pagination"
    pages, credentials = "relative URL in the body", "basic"
    filter = "`DateSent>`"

    def begin(self):
        self.is_known = basic("ACxxxx", self.secret)

    def error(self, status, text):
        return {"code": 20001, "message": text, "status": status, "more_info": "https://www.twilio.com"}

    def make(self, row):
        sent = row.created.strftime("%a, %d %b %Y %H:%M:%S +0000")
        return {
            "sid": f"SM{row.number:032x}",
            "account_sid": "ACxxxx",
            "body": f"High water {row.number}",
            "num_segments": "1",
            "direction": "outbound-api",
            "price": None if row.number % 2 else "-0.00750",
            "date_created": sent,
            "date_sent": sent,
            "error_code": None,
        }

    @route("GET", "/2010-04-01/Accounts/{account}/Messages.json", "twilio")
    def messages(self, ask, account):
        size, page = ask.whole("PageSize", 50, 1, 1000), ask.whole("Page", 0)
        since, token = ask.take("DateSent>"), ask.take("PageToken")
        if page and token != f"PASM{page}":
            raise Refused(400, "PageToken")
        rows = self.rows.live()
        if since is not None:
            rows = self.rows.live(since=read_iso(since, "DateSent>"), key="created")
        messages = self.paged(self.rows.records(rows[::-1]), page * size, size)
        self.note("changes" if since else "all", messages)

        def uri(number):
            query = {"PageSize": size, "Page": number}
            query.update({"PageToken": f"PASM{number}"} if number else {})
            query.update({"DateSent>": since} if since else {})
            return f"{ask.path}?{urllib.parse.urlencode(query)}"

        return {
            "messages": messages,
            "first_page_uri": uri(0),
            "next_page_uri": uri(page + 1) if (page + 1) * size < len(rows) else None,
            "previous_page_uri": uri(page - 1) if page else None,
            "uri": uri(page),
            "page": page,
            "page_size": size,
            "start": page * size,
            "end": page * size + len(messages) - 1,
        }


class Sendgrid(OnlyNew):
    name, title = "sendgrid", "SendGrid bounces"
    origins = ("https://api.sendgrid.com",)
    document = "https://www.twilio.com/docs/sendgrid/api-reference/bounces-api/retrieve-all-bounces"
    pages, credentials = "offset, until a page is short", "bearer token"
    filter = "`start_time` in s"

    def throttle_headers():
        return {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 1)}

    throttle = (429, throttle_headers)

    def error(self, status, text):
        return {"errors": [{"field": None, "message": text}]}

    def make(self, row):
        return {
            "created": epoch(row.created),
            "email": f"drift{row.number}@example.com",
            "reason": "550 5.1.1 no such boat" if row.number % 3 else "",
            "status": "5.1.1",
        }

    @route("GET", "/v3/suppression/bounces", "sendgrid")
    def bounces(self, ask):
        limit, offset = ask.whole("limit", 500, 1, 500), ask.whole("offset", 0)
        start = ask.take("start_time")
        rows = self.rows.live(since=start and read_epoch(start, "start_time"), key="created")
        records = self.paged(self.rows.records(rows), offset, limit)
        return self.note("changes" if start else "all", records)


class Mailchimp(Api):
    name, title = "mailchimp", "Mailchimp list members"
    origins = ("https://us6.api.mailchimp.com",)
    document = "https://mailchimp.com/developer/marketing/docs/methods-parameters/#pagination"
    pages, credentials = "offset, with `total_items`", "basic"
    filter = "`since_last_changed`"

    def begin(self):
        self.is_known = basic("anystring", self.secret)

    def error(self, status, text):
        return {"type": "https://mailchimp.com/developer/", "title": text, "status": status, "detail": text}

    def make(self, row):
        return {
            "id": f"{row.number:032x}",
            "email_address": f"angler{row.number}@example.com",
            "status": "subscribed",
            "merge_fields": {"FNAME": "Anna", "VISITS": row.version},
            "stats": {"avg_open_rate": 0, "avg_click_rate": 0.125},
            "last_changed": row.updated.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
            "tags": [],
        }

    @route("GET", "/3.0/lists/{list}/members", "mailchimp")
    def members(self, ask, list):
        count, offset = ask.whole("count", 10, 0, 1000), ask.whole("offset", 0)
        since = ask.take("since_last_changed")
        ask.fixed("sort_field", "last_changed", "timestamp_opt")
        ask.fixed("sort_dir", "ASC")
        rows = self.rows.live(since=since and read_iso(since, "since_last_changed"))
        members = self.paged(self.rows.records(rows), offset, count)
        self.note("changes" if since else "all", members)
        links = [{"rel": "self", "href": f"{self.origin}{ask.path}", "method": "GET"}]
        return {"members": members, "list_id": list, "total_items": len(rows), "_links": links}


class Klaviyo(Api):
    name, title = "klaviyo", "Klaviyo profiles (JSON:API)"
    origins = ("https://a.klaviyo.com",)
    document = "https://developers.klaviyo.com/en/docs/json_filtering_sorting_and_sparse_fieldsets"
    pages, credentials = "JSON:API, `links.next` (null at the end)", "header `Authorization`"
    filter = "`filter=greater-than(updated,…)`"

    prefix = "Klaviyo-API-Key "

    def begin(self):
        self.is_known = in_header("authorization", self.prefix + self.secret)

    throttle = (429, {"retry-after": "1", "ratelimit-limit": "10", "ratelimit-remaining": "0", "ratelimit-reset": "1"})  # fmt: skip

    def error(self, status, text):
        return {"errors": [{"id": "1", "status": status, "code": "invalid", "title": text, "detail": text}]}

    def make(self, row):
        return {
            "type": "profile",
            "id": f"01GDDKASAP8TKDDA2GRZ{row.number:06}",
            "attributes": {
                "email": f"pike{row.number}@example.com",
                "phone_number": None,
                "created": row.created.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
                "updated": row.updated.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
                "properties": {"weight": row.version * 1.5},
            },
            "links": {"self": f"https://a.klaviyo.com/api/profiles/{row.number}/"},
        }

    @route("GET", "/api/profiles", "klaviyo")
    def profiles(self, ask):
        if ask.headers.get("revision") != "2024-10-15":
            raise Refused(400, "the header revision is missing")
        size, cursor = ask.whole("page[size]", 20, 1, 100), ask.take("page[cursor]")
        wanted, sort = ask.take("filter"), ask.fixed("sort", "updated", "created")
        rows = self.rows.live()
        if wanted is not None:
            (after,) = matched(r"greater-than\(updated,([^)]*)\)", wanted, "filter")
            rows = self.rows.live(after=read_iso(after, "filter"))
        begin = int(matched(r"bmV4dDo6aWQ(\d+)", cursor, "page[cursor]")[0]) if cursor else 0
        data = self.paged(self.rows.records(rows), begin, size)
        self.note("changes" if wanted else "all", data)
        query = {"page[size]": size, "page[cursor]": f"bmV4dDo6aWQ{begin + size}"}
        query.update({"filter": wanted} if wanted else {})
        query.update({"sort": sort} if sort else {})
        url = f"{self.origin}{ask.path}"
        more = f"{url}?{urllib.parse.urlencode(query)}" if begin + size < len(rows) else None
        return {"data": data, "links": {"self": url, "next": more, "prev": None}}


class Reddit(Api):
    name, title = "reddit", "Reddit listing"
    origins = ("https://oauth.reddit.com", "https://www.reddit.com")
    document = "https://www.reddit.com/dev/api/#listings"
    pages = "cursor (`after`), records nested in `children`"
    credentials = "OAuth 2 client credentials"
    throttle = (429, {"x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "1"})

    def begin(self):
        self.is_known = bearer("t0ken-r")

    def error(self, status, text):
        return {"message": text, "error": status}

    def make(self, row):
        return {
            "name": f"t3_{row.number:06}",
            "title": f"TIL of lake {row.number}",
            "author": "nessie",
            "created_utc": float(epoch(row.created)),
            "ups": row.version,
            "edited": False if row.version == 1 else float(epoch(row.updated)),
            "link_flair_text": None,
            "over_18": False,
        }

    @route("POST", "/api/v1/access_token", guarded=False)
    def token(self, ask):
        if not basic("client-1", self.secret)(ask):
            return Answer({"message": "Unauthorized", "error": 401}, status=401)
        if ask.form("grant_type", "scope").get("grant_type") != "client_credentials":
            return {"error": "unsupported_grant_type"}
        return {"access_token": "t0ken-r", "token_type": "bearer", "expires_in": 86400, "scope": "*"}

    @route("GET", "/r/{sub}/new", "reddit")
    def new(self, ask, sub):
        if not ask.headers.get("user-agent"):
            raise Refused(429, "a User-Agent is needed")
        limit, after = ask.whole("limit", 25, 1, 100), ask.take("after")
        ask.whole("count")
        ask.fixed("raw_json", "1")
        records = self.rows.records()[::-1]
        if after:
            names = [one["name"] for one in records]
            records = records[names.index(after) + 1 :] if after in names else []
        children = [{"kind": "t3", "data": one} for one in records[:limit]]
        last = children[-1]["data"]["name"] if len(records) > limit else None
        data = {"after": last, "before": None, "dist": len(children), "modhash": "", "children": children}
        return {"kind": "Listing", "data": data}


class HackerNews(Api):
    name, title = "hacker_news", "Hacker News stories"
    origins = ("https://hacker-news.firebaseio.com",)
    document = "https://github.com/HackerNews/API"
    pages, credentials = "a list of ids, then each item", "none"
    throttle = (503, {})

    def begin(self):
        self.is_known = nobody

    def make(self, row):
        return {
            "by": "dhouston",
            "descendants": row.version,
            "id": 8_800 + row.number,
            "kids": [8_952 + row.number, 9_224],
            "score": 111,
            "time": epoch(row.created),
            "title": f"My float tank {row.number}",
            "type": "story",
        }

    def truth(self, poll):
        if poll == "story_ids":
            return [{"value": 8_800 + row.number} for row in self.rows.live()]
        return self.rows.records()

    @route("GET", "/v0/topstories.json", "hacker_news_ids")
    def top(self, ask):
        return [8_800 + row.number for row in self.rows.live()]

    @route("GET", "/v0/item/{item}.json", "hacker_news")
    def item(self, ask, item):
        number = int(matched(r"(\d+)", item)[0]) - 8_800
        row = self.rows.by_number.get(number)
        return self.make(row) if row and not row.deleted else None
