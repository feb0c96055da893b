"""Bad input gets a clear 4xx that names the field, and stores nothing."""

import json
import socket

import pytest
import requests

from harness import KEY

GOOD = {"status": "completed", "caller_number": "+13055559876", "tracking_number": "+15735551234"}


@pytest.fixture(scope="module")
def count(shared):
    return lambda: len(shared.data("GET", "/calls", params={"limit": 500})["calls"])


BAD_CALLS = [
    ("status", {"status": "done"}), ("status", {"status": None}), ("status", {"status": 1}), ("status", {"status": "Completed"}),
    ("caller_number", {"caller_number": "a\nb"}), ("caller_number", {"caller_number": ""}), ("caller_number", {"caller_number": 13}),
    ("caller_number", {"caller_number": "9" * 300}), ("tracking_number", {"tracking_number": "nobody"}),
    ("tracking_number", {"tracking_number": "+0123456789"}), ("direction", {"direction": "sideways"}),
    ("duration_seconds", {"duration_seconds": -1}), ("duration_seconds", {"duration_seconds": 1.5}),
    ("duration_seconds", {"duration_seconds": "145"}), ("duration_seconds", {"duration_seconds": 10**9}),
    ("duration_seconds", {"duration_seconds": 10**30}), ("duration_seconds", {"duration_seconds": True}),
    ("started_at", {"started_at": "yesterday"}), ("started_at", {"started_at": "2026-02-30T00:00:00Z"}),
    ("started_at", {"started_at": 1774880000}), ("ended_at", {"started_at": "2026-03-30T14:30:00Z", "ended_at": "2026-03-30T14:29:59Z"}),
    ("robo_score", {"robo_score": 101}), ("robo_score", {"robo_score": -1}), ("value_cents", {"value_cents": 10**15}),
    ("source_call_id", {"source_call_id": "a\u0000b"}), ("source_call_id", {"source_call_id": "x" * 256}),
    ("call_flow_id", {"call_flow_id": "not-an-id"}), ("call_flow_id", {"call_flow_id": "018f3c1e-0000-7000-8000-000000000000"}),
    ("recording.url", {"recording": {"url": "file:///etc/passwd"}}), ("recording.url", {"recording": {"url": "http://10.0.0.1/x"}}),
    ("recording.duration_seconds", {"recording": {"url": "https://example.com/r", "duration_seconds": -1}}),
    ("attribution.gclid", {"attribution": {"gclid": "a\rb"}}), ("attribution.utm_sauce", {"attribution": {"utm_sauce": "x"}}),
    ("attribution.source", {"attribution": {"source": "x" * 2049}}), ("transcription", {"transcription": ["x"]}),
    ("forward_to", {"forward_to": []}), ("colour", {"colour": "red"}),
]


@pytest.mark.parametrize("field, change", BAD_CALLS, ids=lambda value: json.dumps(value)[:40])
def test_a_wrong_field_of_a_call_is_named_and_nothing_is_stored(shared, count, field, change):
    before = count()
    answer = shared.call("POST", "/calls", GOOD | change)
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert error["field"] == field and error["message"] and error["code"]
    assert count() == before


@pytest.mark.parametrize("missing", ["status", "caller_number", "tracking_number"])
def test_what_a_call_needs_is_named_when_it_is_missing(shared, missing):
    body = {key: value for key, value in GOOD.items() if key != missing}
    assert shared.call("POST", "/calls", body, 422).json()["error"]["field"] == missing


def raw(shared, body: bytes, content_type: str = "application/json", path: str = "/calls") -> requests.Response:
    headers = {"Content-Type": content_type} if content_type else {}
    return shared.session.post(f"{shared.base}/api/v1{path}", data=body, headers=headers, timeout=30)


@pytest.mark.parametrize("body, status", [
    (b"", 400), (b"{", 400), (b"[]", 422), (b"null", 422), (b'"x"', 422), (b'{"status": }', 400), (b"{'status': 1}", 400),
    (b'\xff\xfe{"status": 1}', 400), (b'{"status": "\xc3\x28"}', 400), (b'{"status": NaN}', 400), (b"{} x", 400),
    (b"[" * 100_000, 400), (b'{"attribution":' * 5_000 + b"1", 400), (b'{"status":"completed","status":"busy"}', 422),
    (b'{"status": "' + b"x" * 1_100_000 + b'"}', 413),
])
def test_a_body_that_is_no_call_is_refused(shared, count, body, status):
    before = count()
    answer = raw(shared, body)
    assert answer.status_code == status, answer.text[:300]
    assert answer.json()["error"]["message"]
    assert count() == before


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"])
def test_another_content_type_is_refused(shared, content_type):
    assert raw(shared, json.dumps(GOOD).encode(), content_type).status_code == 415


def test_lone_surrogates_and_nul_in_free_text_are_mended_not_refused(shared):
    body = json.dumps(GOOD)[:-1].encode() + rb', "transcription": "cut \ud83d here\u0000"}'
    answer = raw(shared, body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["call"]["transcription"] == "cut \ufffd here\ufffd"


def test_a_hundred_headers_and_a_header_flood_end_in_an_answer(shared):
    answer = shared.session.get(f"{shared.base}/api/v1/calls", headers={f"X-{i}": "v" for i in range(90)}, timeout=10)
    assert answer.status_code == 200
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as connection:
        connection.sendall(b"GET /api/v1/calls HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: v\r\n" % i for i in range(1000)) + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 4")


BAD_WEBHOOKS = [
    ("post_call_webhook.url", {"url": url}) for url in [
        "http://10.1.2.3/", "http://192.168.0.1/", "http://169.254.169.254/latest/meta-data", "http://[::1]/", "http://[fe80::1]/",
        "http://[::ffff:10.0.0.1]/", "http://[64:ff9b::a00:1]/", "http://0xa.1/", "http://012.0.0.1/", "http://167772161/",
        "http://10.1/", "http://10.0.0.1./", "http://①⓪.0.0.1/", "http://0.0.0.0/", "http://100.64.0.1/", "http://168.63.129.16/",
        "http://224.0.0.1/", "http://[fd00::1]/", "http://[2002:a00:1::]/", "ftp://example.com/", "javascript:alert(1)",
        "https://user:pass@example.com/", "https://example.com/#x", "example.com", "", "https://" + "x" * 2048,
    ]
] + [
    ("post_call_webhook.headers.Host", {"headers": {"Host": "x"}}),
    ("post_call_webhook.headers.X-A", {"headers": {"X-A": "a\r\nX-B: b"}}),
    ("post_call_webhook.headers.X-A", {"headers": {"X-A": "ä"}}),
    ("post_call_webhook.headers.webhook-id", {"headers": {"webhook-id": "x"}}),
    ("post_call_webhook.headers", {"headers": {f"X-{i}": "v" for i in range(21)}}),
    ("post_call_webhook.headers", {"headers": {"X-A": "v" * 5000}}),
    ("post_call_webhook.retry_delays_seconds", {"retry_delays_seconds": [1] * 12}),
    ("post_call_webhook.retry_delays_seconds", {"retry_delays_seconds": [200000, 200000]}),
    ("post_call_webhook.retry_delays_seconds[0]", {"retry_delays_seconds": [-1]}),
    ("post_call_webhook.conditions", {"conditions": {}}), ("post_call_webhook.format", {"format": "slack"}),
    ("post_call_webhook.signing_secret", {"signing_secret": "whsec_mine"}),
    ("post_call_webhook.enabled", {"enabled": "yes"}),
]


@pytest.mark.parametrize("field, change", BAD_WEBHOOKS, ids=lambda value: json.dumps(value)[:50])
def test_a_wrong_webhook_setting_is_named(shared, field, change):
    webhook = {"enabled": True, "url": "https://hooks.example.com/x"} | change
    answer = shared.call("POST", "/call-flows", {"name": "x", "post_call_webhook": webhook})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["field"] == field


@pytest.mark.parametrize("path", [
    "/calls?limit=0", "/calls?limit=501", "/calls?limit=x", "/calls?colour=red", "/calls?status=done", "/calls?start_date=soon",
    "/calls?cursor=!!", "/calls?min_ai_score=101", "/webhook-deliveries?since=x", "/webhook-deliveries?test=maybe",
    "/webhook-deliveries?call_id=1",
])
def test_a_wrong_filter_is_refused(shared, path):
    error = shared.call("GET", path, expect=422).json()["error"]
    assert error["field"] in path


def test_errors_are_always_the_envelope(shared):
    for method, path, status in [
        ("GET", "/nothing", 404), ("DELETE", "/calls", 405), ("GET", "/calls/not-an-id", 404),
        ("GET", "/calls/018f3c1e-0000-7000-8000-000000000000", 404),
    ]:
        answer = shared.call(method, path)
        assert answer.status_code == status and answer.json()["error"]["code"], answer.text
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic x"}, {"Authorization": f"Bearer {KEY[:-1]}x"}):
        answer = requests.get(f"{shared.base}/api/v1/calls", headers=headers, timeout=10)
        assert answer.status_code == 401 and answer.json()["error"]["code"]


def test_masked_headers_stay_and_do_not_follow_to_another_host(shared, receiver):
    flow = shared.flow(receiver.base, headers={"X-Token": "let me in"})
    assert flow["post_call_webhook"]["headers"] == {"X-Token": "••••"}
    assert "let me in" not in json.dumps(flow)
    patch = {"name": "Renamed", "post_call_webhook": {"url": receiver.base + "/new", "headers": {"X-Token": "••••"}}}
    shared.data("PATCH", f"/call-flows/{flow['id']}", patch)
    shared.report(flow)
    received = receiver.next()
    assert (received.path, received.headers["x-token"]) == ("/new", "let me in")
    elsewhere = {"post_call_webhook": {"url": "https://attacker.example/"}}
    refused = shared.call("PATCH", f"/call-flows/{flow['id']}", elsewhere, 422)
    assert refused.json()["error"]["field"].startswith("post_call_webhook.headers")
