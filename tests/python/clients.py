"""Sends events with the client that others use, unchanged: clients.py CLIENT URL SECRET.

Prints the ids and types that the client gave its events, as JSON, if it knows them."""

import json
import sys
import time
import urllib.request
from datetime import datetime, timezone


def post(url, body, headers):
    """Posts what a library has signed or formatted, and says what came back."""
    body = body if isinstance(body, bytes) else body.encode()
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200, answer.status
        return json.load(answer)


def fail(error, _items=None):
    """What a client calls when it gives up."""
    print(f"not delivered: {error}", file=sys.stderr)
    fail.failed = True


fail.failed = False


def segment(url, key):
    import segment.analytics as analytics

    analytics.write_key, analytics.host, analytics.on_error = key, url, fail
    analytics.identify("u1", {"plan": "pro"})
    analytics.track("u1", "Order Completed", {"total": 3.5}, timestamp=datetime(2026, 11, 1, 12, tzinfo=timezone.utc))
    analytics.page("u1", "docs", "Home", {"path": "/"})
    analytics.screen("u1", "docs", "Start", {})
    analytics.group("u1", "g1", {"seats": 3})
    analytics.alias("old", "u1")
    analytics.shutdown()


def segment_gzip(url, key):
    from segment.analytics.client import Client

    client = Client(key, host=url, on_error=fail, gzip=True, sync_mode=True)
    for _ in range(2):
        client.track("u2", "Again", {}, message_id="one-and-the-same", timestamp=datetime(2026, 11, 2, tzinfo=timezone.utc))


def rudder(url, key):
    import rudderstack.analytics as analytics

    analytics.write_key, analytics.dataPlaneUrl, analytics.on_error = key, url, fail
    analytics.track("u1", "Signed Up", {"via": "mail"})
    analytics.identify("u1", {"plan": "free"})
    analytics.shutdown()


def posthog(url, key):
    from posthog import Posthog

    for gzip in (False, True):
        client = Posthog(key, host=url, on_error=fail, gzip=gzip, disable_geoip=False)
        client.capture("opened", distinct_id="u1", properties={"zipped": gzip}, uuid=f"0192f1a0-0000-7000-8000-00000000000{int(gzip)}")
        client.set(distinct_id="u1", properties={"plan": "pro"})
        client.shutdown()


def cloudevents(url, token):
    from cloudevents.core.bindings import http
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    def event(number, source, data):
        attributes = {
            "id": f"e{number}",
            "source": source,
            "type": "com.example.sold",
            "time": datetime(2026, 11, 1, 12, 0, number, tzinfo=timezone.utc),
            "subject": "Straße 7",
            "datacontenttype": "application/json" if isinstance(data, dict) else "image/png",
        }
        return CloudEvent(attributes, data)

    def send(message):
        headers = {"authorization": f"Bearer {token}", **message.headers}
        return post(url, message.body, headers)

    answers = [
        send(http.to_structured_event(event(1, "/shop/1", {"n": 1}))),
        send(http.to_binary_event(event(2, "/shop/1", {"n": 2}))),
        # The same event in another mode; and the same id of another source.
        send(http.to_binary_event(event(1, "/shop/1", {"n": 1}))),
        send(http.to_binary_event(event(1, "/shop/2", {"n": 1}))),
        send(http.to_binary_event(event(3, "/shop/1", b"\x89PNG"))),
    ]
    batch = [json.loads(JSONFormat().write(event(number, "/shop/3", {"n": number}))) for number in (1, 2)]
    headers = {"authorization": f"Bearer {token}", "content-type": "application/cloudevents-batch+json"}
    answers.append(post(url, json.dumps(batch), headers))
    print(json.dumps([[answer["accepted"], answer["duplicates"]] for answer in answers]))


def svix(url, secret):
    from svix.webhooks import Webhook

    body, now = json.dumps({"type": "invoice.paid", "n": 1}), datetime.now(tz=timezone.utc)
    signature = Webhook(secret).sign("msg_svix", now, body)
    headers = {"svix-id": "msg_svix", "svix-timestamp": str(int(now.timestamp())), "svix-signature": signature}
    post(url, body, {**headers, "content-type": "application/json"})


def standardwebhooks(url, secret):
    from standardwebhooks.webhooks import Webhook

    body, now = json.dumps({"type": "user.created", "n": 2}), datetime.now(tz=timezone.utc)
    signature = Webhook(secret).sign("msg_standard", now, body)
    headers = {"webhook-id": "msg_standard", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    post(url, body, {**headers, "content-type": "application/json"})


def stripe(url, secret):
    from stripe import WebhookSignature

    body = json.dumps({"id": "evt_1", "object": "event", "type": "charge.succeeded", "created": int(time.time())}, indent=2)
    signature = WebhookSignature.generate_signature_header(body, secret)
    post(url, body, {"stripe-signature": signature, "content-type": "application/json; charset=utf-8"})


CLIENTS = [segment, segment_gzip, rudder, posthog, cloudevents, svix, standardwebhooks, stripe]

if __name__ == "__main__":
    name, url, secret = sys.argv[1:]
    {client.__name__: client for client in CLIENTS}[name](url, secret)
    sys.exit(1 if fail.failed else 0)
