"""From a reported call to its webhook: payload, signature, retries, firing modes, what the log says."""

import json
import time

import pytest
from standardwebhooks.webhooks import Webhook

from harness import Callhook, Receiver, wait_until

FIELDS = [
    "event", "call_id", "business_id", "call_flow_id", "call_flow_name", "tracking_number", "caller_number",
    "destination_number", "direction", "status", "duration_seconds", "recording_url", "recording_duration", "transcription",
    "summary", "ai_score", "ai_category", "qualified_ai", "qualification_reason", "source", "landing_page_url", "referrer_url",
    "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "gclid", "fbclid", "msclkid", "value_cents",
    "cost_cents", "robo_score", "ai_processed", "created_at", "webhook_sent_at", "delivery_id", "attempt",
]


def test_a_reported_call_arrives_with_the_38_fields_in_order(shared, receiver):
    flow = shared.flow(receiver.base + "/hook?x=1", headers={"X-Token": "let me in"})
    attribution = {"source": "google", "utm_medium": "cpc", "gclid": "abc123def456"}
    call = shared.report(
        flow, tracking_number="+15735551234", destination_number="+13055554567", started_at="2026-03-30T14:30:00Z",
        attribution=attribution, value_cents=5000, cost_cents=15, robo_score=0, transcription="“Grüße” 🦀 \u0001",
        recording={"url": "http://127.0.0.1:1/r.mp3", "duration_seconds": 138},
    )
    received = receiver.next()
    assert (received.method, received.path) == ("POST", "/hook?x=1")
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"].startswith("callhook/")
    assert received.headers["x-token"] == "let me in"
    payload = received.json
    assert list(payload) == FIELDS
    assert payload["event"] == "call.completed"
    assert payload["call_id"] == call["id"]
    assert payload["call_flow_name"] == "Google Ads"
    assert payload["created_at"] == "2026-03-30T14:30:00Z"
    assert payload["transcription"] == "“Grüße” 🦀 \u0001"
    assert payload["recording_url"].startswith(f"{shared.base}/api/v1/audio/") and payload["recording_url"].endswith(".mp3")
    assert (payload["gclid"], payload["fbclid"], payload["ai_processed"], payload["attempt"]) == ("abc123def456", None, False, 1)
    delivery = shared.settled(1, call_id=call["id"])[0]
    assert (delivery["id"], delivery["status"], delivery["attempt_count"]) == (payload["delivery_id"], "delivered", 1)
    detail = shared.delivery(delivery["id"])
    assert detail["payload"] == payload
    assert [(a["attempt"], a["status_code"], a["error"]) for a in detail["attempts"]] == [(1, 200, None)]
    assert detail["attempts"][0]["response_excerpt"] == "ok"


def test_the_official_library_verifies_the_signature_also_during_a_rotation(shared, receiver):
    flow = shared.flow(receiver.base)
    old = shared.data("POST", f"/call-flows/{flow['id']}/webhook-secret/rotate")["signing_secret"]
    shared.report(flow)
    first = receiver.next()
    Webhook(old).verify(first.body, first.headers)
    assert first.headers["webhook-id"] == first.json["delivery_id"]
    new = shared.data("POST", f"/call-flows/{flow['id']}/webhook-secret/rotate")["signing_secret"]
    shared.report(flow)
    second = receiver.next()
    for secret in (old, new):
        Webhook(secret).verify(second.body, second.headers)
    with pytest.raises(Exception):
        Webhook(new).verify(first.body, first.headers)
    with pytest.raises(Exception):
        Webhook(new).verify(second.body.replace(b"completed", b"finished!"), second.headers)


def test_failures_are_retried_with_the_same_id_and_body_until_one_succeeds(shared, receiver):
    receiver.answer = lambda received: (200, {}, b"") if received.json["attempt"] == 3 else (503, {}, b"come later")
    call = shared.report(shared.flow(receiver.base))
    attempts = [receiver.next() for _ in range(3)]
    bodies = [attempt.json for attempt in attempts]
    assert [body["attempt"] for body in bodies] == [1, 2, 3]
    for body in bodies:
        body.pop("attempt"), body.pop("webhook_sent_at")
    assert bodies[0] == bodies[1] == bodies[2]
    assert attempts[1].at - attempts[0].at >= 1 and attempts[2].at - attempts[1].at >= 1, "never early"
    detail = shared.delivery(shared.settled(1, call_id=call["id"])[0]["id"])
    assert [(a["status_code"], a["error"]) for a in detail["attempts"]] == [(503, "http_503"), (503, "http_503"), (200, None)]
    assert detail["attempts"][0]["error_detail"] and detail["attempts"][0]["response_excerpt"] == "come later"


def test_after_the_last_attempt_it_is_failed_and_redelivery_counts_on(shared, receiver):
    receiver.answer = lambda received: (404, {}, b"gone")
    flow = shared.flow(receiver.base, retry_delays_seconds=[1])
    call = shared.report(flow)
    delivery = shared.settled(1, call_id=call["id"])[0]
    assert (delivery["status"], delivery["attempt_count"], delivery["last_error"]) == ("failed", 2, "http_404")
    receiver.answer = lambda received: (204, {}, b"")
    again = shared.data("POST", f"/webhook-deliveries/{delivery['id']}/redeliver", expect=202)["webhook_delivery"]
    assert again["status"] == "scheduled"
    assert shared.settled(1, call_id=call["id"])[0]["status"] == "delivered"
    last = receiver.requests[-1].json
    assert (last["attempt"], last["delivery_id"]) == (3, delivery["id"])
    shared.call("POST", f"/webhook-deliveries/{delivery['id']}/cancel", expect=409)


def test_retry_after_is_waited_for(receiver):
    receiver.answer = lambda received: (429, {"Retry-After": "3"}, b"") if received.json["attempt"] == 1 else (200, {}, b"")
    with Callhook("--retry-delays=1s") as callhook:
        callhook.report(callhook.flow(receiver.base))
        first, second = receiver.next(), receiver.next()
        assert 3 <= second.at - first.at < 6


def test_wait_for_ai_sends_once_with_the_analysis(shared, receiver):
    call = shared.report(shared.flow(receiver.base, wait_for_ai=True))
    assert shared.deliveries(call_id=call["id"])[0]["status"] == "waiting_for_ai"
    analysis = {
        "transcription": "Hi, I need a quote.", "summary": "Wants a quote.", "ai_score": 85, "ai_category": "lead",
        "qualified_ai": True, "qualification_reason": "Asks for a price", "robo_score": 3,
    }
    shared.data("PUT", f"/calls/{call['id']}/analysis", analysis)
    payload = receiver.next().json
    assert {key: payload[key] for key in analysis} == analysis
    assert payload["ai_processed"] is True
    time.sleep(2.5)  # beyond the fallback: it must not fire a second time
    assert len(receiver.requests) == 1


def test_without_ai_the_fallback_sends_what_is_there(shared, receiver):
    reported = time.monotonic()
    shared.report(shared.flow(receiver.base, wait_for_ai=True), transcription="Only this.")
    received = receiver.next()
    assert 2 <= received.at - reported < 4
    payload = received.json
    assert (payload["transcription"], payload["summary"], payload["ai_processed"]) == ("Only this.", None, False)


def test_what_will_have_no_ai_is_not_waited_for(shared, receiver):
    flow = shared.flow(receiver.base, wait_for_ai=True)
    for fields in ({"recording_expected": False}, {"status": "no-answer", "duration_seconds": 0}):
        reported = time.monotonic()
        shared.report(flow, **fields)
        assert receiver.next().at - reported < 1.5


def test_switching_the_webhook_off_cancels_what_waits(shared, receiver):
    flow = shared.flow(receiver.base, wait_for_ai=True)
    call = shared.report(flow)
    shared.data("PATCH", f"/call-flows/{flow['id']}", {"post_call_webhook": {"enabled": False}})
    delivery = shared.settled(1, call_id=call["id"])[0]
    assert delivery["status"] == "cancelled" and delivery["reason"]
    assert receiver.requests == []


@pytest.mark.parametrize("status, event", [
    ("completed", "call.completed"), ("no-answer", "call.missed"), ("busy", "call.missed"),
    ("voicemail", "call.voicemail"), ("failed", "call.failed"),
])
def test_the_event_follows_from_the_status(shared, receiver, status, event):
    shared.report(shared.flow(receiver.base), status=status)
    payload = receiver.next().json
    assert (payload["status"], payload["event"]) == (status, event)


def test_a_redirect_is_followed_as_apps_script_needs_it(shared, receiver):
    with Receiver() as other:
        receiver.answer = lambda received: (302, {"Location": other.base + "/echo"}, b"")
        flow = shared.flow(receiver.base, headers={"X-Token": "secret"})
        call = shared.report(flow)
        followed = other.next()
        assert (followed.method, followed.body) == ("GET", b"")
        assert not {"x-token", "webhook-signature", "content-type"} & set(followed.headers)
        assert shared.settled(1, call_id=call["id"])[0]["status"] == "delivered"


def test_a_test_webhook_tells_what_the_endpoint_said_and_is_never_retried(shared, receiver):
    receiver.answer = lambda received: (500, {}, b"not today")
    flow = shared.flow(receiver.base)
    tested = shared.data("POST", f"/call-flows/{flow['id']}/test-webhook", {})
    assert (tested["ok"], tested["status_code"], tested["response_excerpt"]) == (False, 500, "not today")
    received = receiver.next()
    assert received.headers["callhook-test"] == "true"
    assert received.json == tested["payload"]
    with Receiver() as unsaved:
        settings = {"post_call_webhook": {"enabled": True, "url": unsaved.base, "headers": {"X-New": "1"}}}
        tested = shared.data("POST", f"/call-flows/{flow['id']}/test-webhook", settings)
        assert tested["ok"] and unsaved.next().headers["x-new"] == "1"
    listed = shared.deliveries(call_flow_id=flow["id"], test="true")
    assert sorted(d["status"] for d in listed) == ["delivered", "failed"]
    assert all(d["test"] and d["kind"] == "test" and d["attempt_count"] == 1 for d in listed)
    time.sleep(1.5)
    assert len(receiver.requests) == 1


def test_redelivery_by_filter_counts_first(shared, receiver):
    receiver.answer = lambda received: (500, {}, b"")
    flow = shared.flow(receiver.base, retry_delays_seconds=[])
    for _ in range(5):
        shared.report(flow)
    shared.settled(5, call_flow_id=flow["id"])
    chosen = {"filter": {"call_flow_id": flow["id"], "status": "failed"}}
    assert shared.data("POST", "/webhook-deliveries/redeliver", chosen | {"dry_run": True}) == {"redelivered": 5, "skipped": 0}
    assert len(receiver.requests) == 5
    receiver.answer = lambda received: (200, {}, b"")
    begun = shared.data("POST", "/webhook-deliveries/redeliver", chosen, expect=202)
    assert begun == {"redelivered": 5, "skipped": 0, "redelivery_id": begun["redelivery_id"]}
    came_to = shared.data("GET", f"/redeliveries/{begun['redelivery_id']}")["redelivery"]
    assert (came_to["status"], came_to["redelivered"], came_to["skipped"]) == ("ended", 5, 0)
    wait_until(lambda: len(shared.deliveries(call_flow_id=flow["id"], status="delivered")) == 5)


def test_server_sent_events_tell_of_changes_of_this_business_only(shared, receiver):
    with shared.session.get(f"{shared.base}/api/v1/webhook-deliveries/events", stream=True, timeout=15) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        call = shared.report(shared.flow(receiver.base))
        for line in stream.iter_lines(decode_unicode=True):
            if line.startswith("data:"):
                change = json.loads(line[5:])
                if change["call_id"] == call["id"] and change["status"] == "delivered":
                    break


def test_a_recording_streams_through_the_own_address_with_ranges(shared, receiver):
    audio = bytes(range(256)) * 40

    def answer(received):
        wanted = received.headers.get("range")
        if wanted is None:
            return 200, {"Content-Type": "audio/mpeg", "Accept-Ranges": "bytes"}, audio
        first, last = (int(part) for part in wanted.removeprefix("bytes=").split("-"))
        part = audio[first : last + 1]
        return 206, {"Content-Type": "audio/mpeg", "Content-Range": f"bytes {first}-{last}/{len(audio)}"}, part

    receiver.answer = answer
    call = shared.report(shared.flow(), recording_expected=True)
    link = call["recording"]["url"]
    import requests

    early = requests.get(link, timeout=10)
    assert early.status_code == 404 and early.headers["retry-after"]
    shared.data("PUT", f"/calls/{call['id']}/recording", {"url": receiver.base + "/r.mp3", "duration_seconds": 9})
    whole = requests.get(link, timeout=10)
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, audio, "audio/mpeg")
    part = requests.get(link, headers={"Range": "bytes=10-19"}, timeout=10)
    assert (part.status_code, part.content) == (206, audio[10:20])
    assert requests.get(link.replace("audio/", "audio/0"), timeout=10).status_code == 404
