"""Callbacks signed by Twilio's own library, in every order."""

import itertools
from email.utils import formatdate

import pytest
import requests
from twilio.request_validator import RequestValidator

from harness import Callhook, wait_until

PUBLIC = "https://calls.example.com"
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def twilio():
    with Callhook(f"--public-url={PUBLIC}") as callhook:
        flow = callhook.flow()
        callhook.data("POST", "/numbers", {"phone_number": "+15735551234", "call_flow_id": flow["id"], "utm_source": "google"}, 201)
        body = {"kind": "twilio", "name": "Main", "auth_token": AUTH_TOKEN, "dial": True}
        callhook.source = callhook.data("POST", "/sources", body, 201)["source"]
        yield callhook


def send(callhook, kind: str, params: dict, token: str = AUTH_TOKEN, headers: dict | None = None) -> requests.Response:
    url = callhook.source["urls"][kind]
    assert url.startswith(PUBLIC)
    signature = RequestValidator(token).compute_signature(url, params)
    local = url.replace(PUBLIC, callhook.base)
    return requests.post(local, data=params, headers={"X-Twilio-Signature": signature} if headers is None else headers, timeout=10)


def legs(sid: str, dial_status: str, child_to: str = "+13055554567", seconds: int = 60) -> list[tuple[str, dict]]:
    """What Twilio sends about an inbound call that was forwarded: the child's end, the dial's end, the parent's end."""
    common = {"AccountSid": "AC1", "ApiVersion": "2010-04-01"}
    parent = common | {"CallSid": sid, "From": "+13055559876", "To": "+15735551234", "Direction": "inbound"}
    child = common | {
        "CallSid": sid + "c", "ParentCallSid": sid, "From": "+13055559876", "To": child_to, "Direction": "outbound-dial",
        "CallStatus": dial_status, "CallDuration": str(seconds if dial_status == "completed" else 0),
    }
    dial = parent | {"CallStatus": "in-progress", "DialCallStatus": dial_status, "DialCallSid": sid + "c"}
    end = parent | {
        "CallStatus": "completed", "CallDuration": str(seconds + 5), "Duration": "2", "Timestamp": formatdate(usegmt=True),
        "CallbackSource": "call-progress-events", "SequenceNumber": "0",
    }
    return [("status", child), ("dial", dial), ("status", end)]


def calls(callhook, sid: str) -> list[dict]:
    return callhook.data("GET", "/calls", params={"search": sid})["calls"]


@pytest.mark.parametrize("dial_status, expected", [
    ("completed", "completed"), ("no-answer", "no-answer"), ("busy", "busy"), ("failed", "failed"), ("canceled", "no-answer"),
])
def test_the_status_is_the_callers_truth_in_whatever_order_the_callbacks_come(twilio, dial_status, expected):
    for index, order in enumerate(itertools.permutations(range(3))):
        sid = f"CA{dial_status}{index}"
        callbacks = legs(sid, dial_status)
        for position in order:
            kind, params = callbacks[position]
            for _ in range(2):
                answer = send(twilio, kind, params)
                assert answer.status_code in (200, 204), answer.text
                if kind == "dial":
                    assert answer.headers["content-type"].startswith("text/xml") and "<Response" in answer.text
    for index in range(6):
        sid = f"CA{dial_status}{index}"
        found = wait_until(lambda sid=sid: calls(twilio, sid), 14, sid)
        assert len(found) == 1
        call = found[0]
        assert (call["status"], call["source_call_id"], call["duration_seconds"]) == (expected, sid, 65)
        assert (call["caller_number"], call["tracking_number"]) == ("+13055559876", "+15735551234")
        assert call["destination_number"] == "+13055554567"
        assert call["attribution"]["utm_source"] == "google" and call["call_flow_id"]


def test_a_recording_is_attached_before_and_after_the_end(twilio):
    for sid, first in (("CAbefore", True), ("CAafter", False)):
        recording = {
            "AccountSid": "AC1", "CallSid": sid, "RecordingSid": "RE1", "RecordingUrl": "https://api.twilio.com/2010/RE1",
            "RecordingStatus": "completed", "RecordingDuration": "58", "RecordingChannels": "1", "RecordingSource": "DialVerb",
        }
        if first:
            assert send(twilio, "recording", recording).ok
        for kind, params in legs(sid, "completed"):
            assert send(twilio, kind, params).ok
        wait_until(lambda sid=sid: calls(twilio, sid), 14)
        if not first:
            assert send(twilio, "recording", recording).ok
        found = wait_until(lambda sid=sid: calls(twilio, sid)[0]["recording"], 5)
        assert found["duration_seconds"] == 58 and found["url"].startswith(PUBLIC)


def test_what_is_not_signed_by_twilio_is_refused(twilio):
    kind, params = legs("CAforged", "completed")[2]
    assert send(twilio, kind, params, token="another token").status_code == 403
    assert send(twilio, kind, params, headers={}).status_code == 403
    url = twilio.source["urls"]["status"]
    signature = RequestValidator(AUTH_TOKEN).compute_signature(url, params)
    changed = requests.post(
        url.replace(PUBLIC, twilio.base), data=params | {"CallStatus": "busy"}, headers={"X-Twilio-Signature": signature}, timeout=10,
    )
    assert changed.status_code == 403
    unknown = requests.post(f"{twilio.base}/api/v1/sources/twilio/{'x' * 43}/status", data=params, timeout=10)
    assert unknown.status_code == 404
    assert calls(twilio, "CAforged") == []


def test_an_anonymous_caller_is_kept(twilio):
    for kind, params in legs("CAanonymous", "completed"):
        assert send(twilio, kind, params | {"From": "anonymous"}).ok
    call = wait_until(lambda: calls(twilio, "CAanonymous"), 14)[0]
    assert call["caller_number"] == "anonymous"


def test_a_restart_in_the_middle_loses_no_leg():
    with Callhook(f"--public-url={PUBLIC}") as callhook:
        body = {"kind": "twilio", "name": "Main", "auth_token": AUTH_TOKEN, "dial": True}
        callhook.source = callhook.data("POST", "/sources", body, 201)["source"]
        parent = legs("CArestart", "completed")[2]
        assert send(callhook, *parent).ok
        callhook.kill()
        callhook.restart()
        call = wait_until(lambda: calls(callhook, "CArestart"), 14, "the end without its child leg")[0]
        assert call["tracking_number"] == "+15735551234" and call["call_flow_id"] is None
