"""Fakes of open data."""

import datetime
import json
import urllib.parse

from chat import OnlyNew
from fake import Answer, Api, Refused, UTC, epoch_ms, in_header, in_query, iso, iso_ms
from fake import matched, nobody, read_epoch, read_iso, read_time, route


class OpenWeather(Api):
    name, title = "openweather", "OpenWeather, current weather"
    origins = ("https://api.openweathermap.org",)
    document = "https://openweathermap.org/current"
    pages, credentials = "none; one object", "query parameter `appid`"
    count = 1

    def begin(self):
        self.is_known = in_query(appid=self.secret)

    def error(self, status, text):
        return {"cod": status, "message": text}

    def advance(self):
        self.rows.change(1)

    def make(self, row):
        return {
            "coord": {"lon": 9.19, "lat": 45.46},
            "weather": [{"id": 501, "main": "Rain", "description": "moderate rain"}],
            "main": {"temp": 284.2 + row.version, "pressure": 1021, "humidity": 60},
            "wind": {"speed": 4.09, "deg": 121, "gust": 3.47},
            "dt": int(row.updated.timestamp()),
            "timezone": 7200,
            "id": 3_165_524,
            "name": "Lake",
            "cod": 200,
        }

    @route("GET", "/data/2.5/weather", "openweather")
    def weather(self, ask):
        ask.must("id")
        ask.fixed("units", "standard", "metric")
        return self.rows.records()[0]


class Usgs(Api):
    name, title = "usgs", "USGS earthquakes (GeoJSON)"
    origins = ("https://earthquake.usgs.gov",)
    document = "https://earthquake.usgs.gov/fdsnws/event/1/"
    pages, credentials = "offset from 1, until a page is short", "none"
    filter = "`updatedafter`"
    throttle = (503, {"retry-after": "1"})

    def begin(self):
        self.is_known = nobody

    def error(self, status, text):
        return f"Error {status}: {text}\n"

    def make(self, row):
        return {
            "type": "Feature",
            "properties": {
                "mag": 1.1 + row.number / 10,
                "place": f"{row.number} km NW of the lake",
                "time": epoch_ms(row.created),
                "updated": epoch_ms(row.updated),
                "tz": None,
                "status": "automatic" if row.version == 1 else "reviewed",
            },
            "geometry": {"type": "Point", "coordinates": [-116.88, 33.75 + row.number, 12.5]},
            "id": f"ci{40_000_000 + row.number}",
        }

    @route("GET", "/fdsnws/event/1/query", "usgs")
    def query(self, ask):
        if ask.take("format") != "geojson":
            raise Refused(400, "format")
        start, updated = read_iso(ask.must("starttime") + "T00:00:00Z"), ask.take("updatedafter")
        limit, offset = ask.whole("limit", 20_000, 1, 20_000), ask.whole("offset", 1, 1)
        ask.fixed("orderby", "time", "time-asc")
        rows = [row for row in self.rows.live() if row.created >= start]
        if updated is not None:
            rows = self.rows.live(after=read_iso(updated, "updatedafter"))
        features = self.paged(self.rows.records(rows), offset - 1, limit)
        self.note("changes" if updated else "all", features)
        about = {"generated": 1_772_352_000_000, "title": "USGS Earthquakes", "status": 200, "count": len(features)}
        return {"type": "FeatureCollection", "metadata": about, "features": features}


class Nasa(OnlyNew):
    name, title = "nasa", "NASA pictures of the day"
    origins = ("https://api.nasa.gov",)
    document = "https://github.com/nasa/apod-api#url-search-params--query-string-parameters"
    pages, credentials = "none; windows of days, both ends inclusive", "query parameter `api_key`"
    filter = "`start_date` and `end_date`"
    step = 86_400
    throttle = (429, {"x-ratelimit-limit": "1000", "x-ratelimit-remaining": "0"})

    def start(self):
        # The newest of 28 days is today.
        today = datetime.datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return today - datetime.timedelta(days=self.count + 5)

    def begin(self):
        self.is_known = in_query(api_key=self.secret)

    def error(self, status, text):
        return {"code": status, "msg": text, "service_version": "v1"}

    def make(self, row):
        return {
            "date": row.created.strftime("%Y-%m-%d"),
            "title": f"Lakes of Titan {row.number}",
            "explanation": "Methane, mostly.",
            "media_type": "image",
            "url": f"https://apod.nasa.gov/apod/image/{row.number}.jpg",
            "service_version": "v1",
            **({"copyright": "A. Stargazer"} if row.number % 2 else {}),
        }

    @route("GET", "/planetary/apod", "nasa")
    def pictures(self, ask):
        start = read_time(ask.must("start_date"), "%Y-%m-%d", "start_date")
        now = datetime.datetime.now(UTC)
        end = ask.take("end_date")
        end = read_time(end, "%Y-%m-%d", "end_date") if end else now
        if not start <= end <= now:
            raise Refused(400, "Date must be between Jun 16, 1995 and today")
        rows = [row for row in self.rows.live() if start.date() <= row.created.date() <= end.date()]
        # The question for everything names no end.
        return self.note("changes" if "end_date" in ask.target else "all", self.rows.records(rows))


class WorldBank(Api):
    name, title = "world_bank", "World Bank indicators"
    origins = ("https://api.worldbank.org",)
    document = "https://datahelpdesk.worldbank.org/knowledgebase/articles/898599-api-basic-call-structures"
    pages, credentials = "page number, with `pages`; a list of page and records", "none"
    throttle = (503, {})

    def begin(self):
        self.is_known = nobody

    def error(self, status, text):
        return [{"message": [{"id": "120", "key": "Invalid value", "value": text}]}]

    def make(self, row):
        return {
            "indicator": {"id": "ER.H2O.FWTL.K3", "value": "Freshwater withdrawals"},
            "country": {"id": "BR", "value": "Brazil"},
            "countryiso3code": "BRA",
            "date": str(1960 + row.number),
            "value": None if row.number % 4 == 0 else row.number * 1.5 + row.version,
            "unit": "",
            "decimal": 0,
        }

    @route("GET", "/v2/country/{country}/indicator/{indicator}", "world_bank")
    def indicator(self, ask, country, indicator):
        if ask.take("format") != "json":
            return Answer('<?xml version="1.0"?><wb:data/>', kind="text/xml")
        size, page = ask.whole("per_page", 50, 1, 32_500), ask.whole("page", 1, 1)
        records = self.rows.records()
        pages = -(-len(records) // size)
        about = {"page": page, "pages": pages, "per_page": size, "total": len(records), "lastupdated": "2026-03-01"}
        return [about, self.paged(records, (page - 1) * size, size)]


class Wikipedia(OnlyNew):
    name, title = "wikipedia", "Wikipedia recent changes"
    origins = ("https://en.wikipedia.org",)
    document = "https://www.mediawiki.org/wiki/API:Continue"
    pages, credentials = "cursor (`continue`, an object of parameters)", "none"
    filter = "`rcstart`"
    throttle = (429, {"retry-after": "1"})

    def begin(self):
        self.is_known = nobody

    def error(self, status, text):
        return {"error": {"code": "badvalue", "info": text}, "servedby": "mw1"}

    def make(self, row):
        return {
            "type": "edit",
            "ns": 0,
            "title": f"Lake {row.number}",
            "pageid": 50_000 + row.number,
            "rcid": 1_000_000 + row.number,
            "timestamp": iso(row.created),
            "comment": "",
        }

    @route("GET", "/w/api.php", "wikipedia")
    def api(self, ask):
        for name, value in (("action", "query"), ("list", "recentchanges"), ("format", "json"),
                            ("rcdir", "newer"), ("rcprop", "title|timestamp|ids|comment")):  # fmt: skip
            if ask.take(name) != value:
                raise Refused(400, f"{name} must be {value} here")
        limit, start = ask.whole("rclimit", 10, 1, 500), ask.take("rcstart")
        following, general = ask.take("rccontinue"), ask.take("continue")
        if (following is None) != (general is None):
            raise Refused(400, "all parameters of continue go into the next request")
        rows = self.rows.live(since=start and read_iso(start, "rcstart"), key="created")
        begin = int(matched(r"20260301080000\|(\d+)", following)[0]) if following else 0
        changes = self.paged(self.rows.records(rows), begin, limit)
        self.note("changes" if start else "all", changes)
        body = {"query": {"recentchanges": changes}}
        if begin + limit < len(rows):
            body["continue"] = {"rccontinue": f"20260301080000|{begin + limit}", "continue": "-||"}
        else:
            body["batchcomplete"] = ""
        return body


class PokeApi(Api):
    name, title = "pokeapi", "PokéAPI list and details"
    origins = ("https://pokeapi.co",)
    document = "https://pokeapi.co/docs/v2#resource-listspagination-section"
    pages, credentials = "URL in the body, then each item", "none"
    throttle = (429, {"retry-after": "1"})

    def begin(self):
        self.is_known = nobody

    def error(self, status, text):
        return text

    def make(self, row):
        return {
            "id": row.number,
            "name": f"magikarp-{row.number}",
            "height": 9 + row.version,
            "is_default": True,
            "held_items": [],
            "stats": [{"base_stat": 20, "effort": 0, "stat": {"name": "hp"}}],
        }

    def listed(self):
        url = "https://pokeapi.co/api/v2/pokemon"
        return [{"name": one["name"], "url": f"{url}/{one['id']}/"} for one in self.rows.records()]

    def truth(self, poll):
        return self.listed() if poll == "pokemon_names" else self.rows.records()

    @route("GET", "/api/v2/pokemon", "pokeapi_list")
    def all(self, ask):
        limit, offset = ask.whole("limit", 20, 1), ask.whole("offset", 0)
        listed, more = self.listed(), None
        if offset + limit < len(listed):
            query = {"offset": offset + limit, "limit": limit}
            more = f"{self.origin}{ask.path}?{urllib.parse.urlencode(query)}"
        found = self.paged(listed, offset, limit)
        return {"count": len(listed), "next": more, "previous": None, "results": found}

    @route("GET", "/api/v2/pokemon/{name}", "pokeapi")
    def one(self, ask, name):
        for record in self.rows.records():
            if name in (record["name"], str(record["id"])):
                return record
        raise Refused(404, "Not Found")


class Socrata(Api):
    name, title = "socrata", "Socrata dataset (SODA)"
    origins = ("https://data.example.gov",)
    document = "https://dev.socrata.com/docs/queries/"
    pages, credentials = "offset (`$offset`), until a page is short", "header `X-App-Token`"
    filter = "`$where=:updated_at > '…'`"

    def begin(self):
        self.is_known = in_header("x-app-token", self.secret)

    def error(self, status, text):
        return {"code": "query.soql.invalid", "error": True, "message": text, "data": {}}

    def make(self, row):
        return {
            ":id": f"row-xgty.3mnd~{row.number:04}",
            ":updated_at": iso_ms(row.updated),
            "beach": f"North {row.number}",
            "water_temperature": f"{row.number / 10 + row.version}",
            **({"battery_life": "11.9"} if row.number % 3 else {}),
        }

    @route("GET", "/resource/{dataset}", "socrata")
    def resource(self, ask, dataset):
        if dataset != "qmqz-2xku.json":
            raise Refused(404, "dataset.missing")
        if ask.take("$select") != ":id,:updated_at,*" or ask.take("$order") != ":id":
            raise Refused(400, "$select and $order are needed for stable pages")
        limit, offset = ask.whole("$limit", 1000, 1, 50_000), ask.whole("$offset", 0)
        where = ask.take("$where")
        rows = self.rows.live()
        if where is not None:
            (after,) = matched(r":updated_at > '([^']*)'", where, "$where")
            rows = self.rows.live(after=read_iso(after, "$where"))
        records = self.paged(self.rows.records(rows), offset, limit)
        return self.note("changes" if where else "all", records)


class ClinicalTrials(Api):
    name, title = "clinical_trials", "ClinicalTrials.gov studies"
    origins = ("https://clinicaltrials.gov",)
    document = "https://clinicaltrials.gov/data-api/api"
    pages, credentials = "cursor (`nextPageToken`)", "none"
    filter = "`filter.advanced=AREA[LastUpdatePostDate]RANGE[day,MAX]`"
    step = 86_400

    def begin(self):
        self.is_known = nobody

    def error(self, status, text):
        return text

    def make(self, row):
        return {
            "protocolSection": {
                "identificationModule": {"nctId": f"NCT{row.number:08}", "briefTitle": f"Salt {row.number}"},
                "statusModule": {
                    "overallStatus": "RECRUITING",
                    "lastUpdatePostDateStruct": {"date": row.updated.strftime("%Y-%m-%d"), "type": "ACTUAL"},
                },
                "designModule": {"enrollmentInfo": {"count": row.version}},
            },
            "hasResults": False,
        }

    @route("GET", "/api/v2/studies", "clinical_trials")
    def studies(self, ask):
        size, token = ask.whole("pageSize", 10, 0, 1000), ask.take("pageToken")
        wanted = ask.take("filter.advanced")
        ask.fixed("format", "json")
        rows = self.rows.live()
        if wanted is not None:
            (day,) = matched(r"AREA\[LastUpdatePostDate\]RANGE\[([^,]*),MAX\]", wanted, "filter.advanced")
            since = read_time(day, "%Y-%m-%d", "filter.advanced")
            rows = self.rows.live(since=since)
        begin = int(matched(r"NF0g5JCB(\d+)", token, "pageToken")[0]) if token else 0
        studies = self.paged(self.rows.records(rows), begin, size)
        self.note("changes" if wanted else "all", studies)
        body = {"studies": studies}
        if begin + size < len(rows):
            body["nextPageToken"] = f"NF0g5JCB{begin + size}"
        return body


class Lichess(OnlyNew):
    name, title = "lichess", "Lichess games (NDJSON)"
    origins = ("https://lichess.org",)
    document = "https://lichess.org/api#tag/Games/operation/apiGamesUser"
    pages, credentials = "none; NDJSON", "bearer token"
    filter = "`since` in ms"
    throttle = (429, {})

    def error(self, status, text):
        return {"error": text}

    def make(self, row):
        return {
            "id": f"q7ZvsdU{row.number:04}",
            "rated": True,
            "speed": "blitz",
            "createdAt": epoch_ms(row.created),
            "status": "draw",
            "players": {"white": {"user": {"name": "Nessie", "id": "nessie"}, "rating": 2390 + row.number}},
            "moves": "d4 d5 c4 c6",
            **({"tournament": "lake"} if row.number % 3 else {}),
        }

    @route("GET", "/api/games/user/{user}", "lichess")
    def games(self, ask, user):
        if ask.headers.get("accept") != "application/x-ndjson":
            return Answer('[Event "Blitz"]\n\n1. d4 d5 *\n', kind="application/x-chess-pgn")
        since = ask.take("since")
        ask.whole("max")
        ask.fixed("sort", "dateAsc", "dateDesc")
        rows = self.rows.live(since=since and read_epoch(since, "since", 1000), key="created")
        records = self.rows.records(rows)
        self.note("changes" if since else "all", records)
        lines = "".join(json.dumps(one) + "\n" for one in records)
        return Answer(lines, kind="application/x-ndjson")
