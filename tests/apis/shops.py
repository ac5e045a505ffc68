"""Fakes of APIs of shops and of the sites around them."""

import email.utils
import urllib.parse

from fake import Answer, Api, Refused, basic, graphql, in_header, iso, matched, nobody, read_iso
from fake import route
from software import link


class Shopify(Api):
    name, title = "shopify", "Shopify orders (REST)"
    origins = ("https://example.myshopify.com",)
    document = "https://shopify.dev/docs/api/admin-rest/usage/pagination"
    pages = "Link header; its links take no other parameters"
    credentials, filter = "header `X-Shopify-Access-Token`", "`updated_at_min`"
    throttle = (429, {"retry-after": "1.0", "x-shopify-shop-api-call-limit": "40/40"})

    def begin(self):
        self.is_known = in_header("x-shopify-access-token", self.secret)
        self.cursors = {}

    def error(self, status, text):
        return {"errors": text}

    def make(self, row):
        return {
            "id": 450_789_469 + row.number,
            "name": f"#{1000 + row.number}",
            "email": "bob@example.com",
            "closed_at": None,
            "created_at": row.created.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
            "updated_at": row.updated.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
            "total_price": f"{row.number * 9.5:.2f}",
            "test": False,
            "line_items": [{"id": row.number * 10, "title": "Oar", "quantity": row.version}],
            "customer": {"id": 207, "tags": ""} if row.number % 2 else None,
        }

    @route("GET", "/admin/api/2024-10/orders.json", "shopify")
    def orders(self, ask):
        limit, info = ask.whole("limit", 50, 1, 250), ask.take("page_info")
        if info is not None:
            if ask.query.keys() - {"fields"}:
                raise Refused(400, "page_info: only limit and fields may stand beside it")
            since, begin = self.cursors[matched(r"(eyJsYXN0X2lkIjo0\d+)", info)[0]]
        else:
            since, begin = ask.take("updated_at_min"), 0
            ask.fixed("status", "any", "open", "closed")
        rows = self.rows.live(since=since and read_iso(since, "updated_at_min"))
        records = self.paged(self.rows.records(rows), begin, limit)
        self.note("changes" if since else "all", records)
        headers = {}
        if begin + limit < len(rows):
            token = f"eyJsYXN0X2lkIjo0{len(self.cursors)}"
            self.cursors[token] = since, begin + limit
            headers["link"] = link(self.origin, ask.path, {"limit": limit, "page_info": token})
        return Answer({"orders": records}, headers)


class ShopifyGraphql(Api):
    name, title = "shopify_graphql", "Shopify orders (GraphQL)"
    origins = ("https://example.myshopify.com",)
    document = "https://shopify.dev/docs/api/usage/pagination-graphql"
    pages, credentials = "GraphQL `pageInfo`", "header `X-Shopify-Access-Token`"
    filter = "`query: \"updated_at:>='…'\"`"

    def begin(self):
        self.is_known = in_header("x-shopify-access-token", self.secret)

    def error(self, status, text):
        return {"errors": [{"message": text}]}

    def make(self, row):
        return {
            "id": f"gid://shopify/Order/{450_789_469 + row.number}",
            "name": f"#{1000 + row.number}",
            "updatedAt": iso(row.updated),
            "cancelledAt": None,
            "totalPriceSet": {"shopMoney": {"amount": f"{row.number}.5", "currencyCode": "EUR"}},
            "tags": ["vip"] * (row.version - 1),
        }

    @route("POST", "/admin/api/2024-10/graphql.json", "shopify_graphql")
    def graphql(self, ask):
        given = graphql(ask, "shopify_graphql", "after", "search")
        search, after = given.get("search"), given.get("after")
        rows = sorted(self.rows.live(), key=lambda row: row.updated)
        if search is not None:
            (since,) = matched(r"updated_at:>='([^']*)'", search, "search")
            rows = self.rows.live(since=read_iso(since, "search"))
        begin = int(matched(r"eyJsYXN0X2lk(\d+)", after, "after")[0]) if after else 0
        nodes = self.paged(self.rows.records(rows), begin, 10)
        self.note("changes" if search else "all", nodes)
        info = {"hasNextPage": begin + 10 < len(rows), "endCursor": None}
        if nodes:
            info["endCursor"] = f"eyJsYXN0X2lk{begin + len(nodes)}"
        cost = {"requestedQueryCost": 12, "actualQueryCost": 6}
        return {"data": {"orders": {"nodes": nodes, "pageInfo": info}}, "extensions": {"cost": cost}}


class Woocommerce(Api):
    name, title = "woocommerce", "WooCommerce orders"
    origins = ("https://shop.example.com",)
    document = "https://woocommerce.github.io/woocommerce-rest-api-docs/#pagination"
    pages, credentials = "page number, `x-wp-totalpages`", "basic"
    filter = "`modified_after`, without a zone"

    def begin(self):
        self.is_known = basic("ck_1", self.secret)

    def error(self, status, text):
        return {"code": "rest_invalid_param", "message": text, "data": {"status": status}}

    def make(self, row):
        return {
            "id": 720 + row.number,
            "status": "processing",
            "currency": "EUR",
            "total": f"{row.number * 1.1:.2f}",
            "customer_note": "",
            "date_created_gmt": row.created.strftime("%Y-%m-%dT%H:%M:%S"),
            "date_modified_gmt": row.updated.strftime("%Y-%m-%dT%H:%M:%S"),
            "date_paid_gmt": None,
            "line_items": [{"id": row.number, "name": "Sail", "quantity": row.version, "price": 3.5}],
        }

    @route("GET", "/wp-json/wc/v3/orders", "woocommerce")
    def orders(self, ask):
        size, page = ask.whole("per_page", 10, 1, 100), ask.whole("page", 1, 1)
        after, gmt = ask.take("modified_after"), ask.fixed("dates_are_gmt", "true")
        ask.fixed("orderby", "id", "date", "modified")
        ask.fixed("order", "asc", "desc")
        rows = self.rows.live()
        if after is not None:
            if not gmt:
                raise Refused(400, "dates_are_gmt: times without it are those of the shop")
            rows = self.rows.live(after=read_iso(after, "modified_after", zone=False))
        last = -(-len(rows) // size)
        records = self.paged(self.rows.records(rows), (page - 1) * size, size)
        self.note("changes" if after else "all", records)
        return Answer(records, {"x-wp-total": len(rows), "x-wp-totalpages": last})


class Wordpress(Api):
    name, title = "wordpress", "WordPress posts"
    origins = ("https://blog.example.com",)
    document = "https://developer.wordpress.org/rest-api/using-the-rest-api/pagination/"
    pages, credentials = "page number, 400 past the last page", "none"
    filter = "`modified_after`, without a zone"
    throttle = (503, {"retry-after": "1"})

    def begin(self):
        self.is_known = nobody

    def error(self, status, text):
        code = "rest_post_invalid_page_number" if "page number" in text else "rest_invalid_param"
        return {"code": code, "message": text, "data": {"status": status}}

    def make(self, row):
        return {
            "id": row.number,
            "date_gmt": row.created.strftime("%Y-%m-%dT%H:%M:%S"),
            "modified_gmt": row.updated.strftime("%Y-%m-%dT%H:%M:%S"),
            "slug": f"moor-{row.number}",
            "title": {"rendered": f"Moor &#8211; {row.version}"},
            "sticky": False,
            "meta": [],
            "categories": [1],
        }

    @route("GET", "/wp-json/wp/v2/posts", "wordpress")
    def posts(self, ask):
        size, page = ask.whole("per_page", 10, 1, 100), ask.whole("page", 1, 1)
        after = ask.take("modified_after")
        ask.fixed("orderby", "id", "date", "modified")
        ask.fixed("order", "asc", "desc")
        rows = self.rows.live()
        if after is not None:
            rows = self.rows.live(after=read_iso(after, "modified_after", zone=False))
        last = -(-len(rows) // size)
        if page > max(last, 1):
            raise Refused(400, "the page number is larger than the number of pages")
        records = self.paged(self.rows.records(rows), (page - 1) * size, size)
        self.note("changes" if after else "all", records)
        return Answer(records, {"x-wp-total": len(rows), "x-wp-totalpages": last})


class Bigcommerce(Api):
    name, title = "bigcommerce", "BigCommerce orders and their products"
    origins = ("https://api.bigcommerce.com",)
    document = "https://developer.bigcommerce.com/docs/rest-management/orders"
    pages = "page number, 204 past the last page; children"
    credentials, filter = "header `X-Auth-Token`", "`min_date_modified`, RFC 2822"
    throttle = (429, {"x-rate-limit-requests-left": "0", "x-rate-limit-time-reset-ms": "300"})

    def begin(self):
        self.is_known = in_header("x-auth-token", self.secret)

    def error(self, status, text):
        return [{"status": status, "message": text}]

    def make(self, row):
        return {
            "id": 100 + row.number,
            "date_created": row.created.strftime("%a, %d %b %Y %H:%M:%S +0000"),
            "date_modified": row.updated.strftime("%a, %d %b %Y %H:%M:%S +0000"),
            "status": "Shipped",
            "total_inc_tax": f"{row.number * 12.5:.4f}",
            "items_total": row.version,
            "is_deleted": False,
            "products": {"resource": f"/orders/{100 + row.number}/products"},
        }

    def lines(self, row):
        return [
            {
                "id": row.number * 10 + line,
                "order_id": 100 + row.number,
                "name": f"Rope {line}",
                "quantity": row.version,
                "base_price": "25.0000",
                "parent_order_product_id": None,
            }
            for line in range(row.number % 4)
        ]

    def truth(self, poll):
        if poll == "order_lines":
            return [line for row in self.rows.live() for line in self.lines(row)]
        return super().truth(poll)

    @route("GET", "/stores/{store}/v2/orders", "bigcommerce")
    def orders(self, ask, store):
        limit, page = ask.whole("limit", 50, 1, 250), ask.whole("page", 1, 1)
        since = ask.take("min_date_modified")
        ask.fixed("sort", "date_modified:asc", "id:asc")
        rows = self.rows.live()
        if since is not None:
            try:
                since = email.utils.parsedate_to_datetime(since)
            except ValueError:
                raise Refused(400, f"min_date_modified: {since!r} is not of RFC 2822") from None
            rows = self.rows.live(since=since)
        records = self.paged(self.rows.records(rows), (page - 1) * limit, limit)
        self.note("changes" if since else "all", records)
        return records if records else Answer(None, status=204)

    @route("GET", "/stores/{store}/v2/orders/{order}/products", "bigcommerce_lines")
    def products(self, ask, store, order):
        limit, page = ask.whole("limit", 50, 1, 250), ask.whole("page", 1, 1)
        row = self.rows.by_number.get(int(matched(r"(\d+)", order)[0]) - 100)
        if row is None or row.deleted:
            raise Refused(404, "the requested resource was not found")
        records = self.paged(self.lines(row), (page - 1) * limit, limit)
        return records if records else Answer(None, status=204)
