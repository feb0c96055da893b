"""Kills at the moments that matter: nothing acknowledged is lost, the sole duplicate is the attempt in flight."""

import random
import signal
import subprocess
import threading
import time

from harness import BINARY, SECRET_KEY, Callhook, Receiver, free_port, wait_until


def test_killed_after_sending_before_the_outcome_the_attempt_is_made_again_with_its_number(receiver):
    hold = threading.Event()
    receiver.answer = lambda received: hold.wait(20) and (200, {}, b"")
    with Callhook() as callhook:
        callhook.report(callhook.flow(receiver.base))
        first = receiver.next().json
        callhook.kill()
        hold.set()
        receiver.answer = lambda received: (200, {}, b"")
        callhook.restart()
        second = receiver.next().json
        assert (second["attempt"], second["delivery_id"]) == (1, first["delivery_id"])
        for payload in (first, second):
            payload.pop("webhook_sent_at")
        assert first == second
        delivery = callhook.settled(1)[0]
        assert (delivery["status"], delivery["attempt_count"]) == ("delivered", 1)
        assert len(receiver.requests) == 2
        assert delivery["id"] in callhook.log_text(), "a repeated attempt is marked in the log"


def test_killed_between_due_and_sent_it_is_sent_after_the_restart(receiver):
    """A lane with every slot taken holds back the rest: those are due and not sent when the kill comes."""
    release = threading.Event()
    receiver.answer = lambda received: release.wait(20) and (200, {}, b"")
    with Callhook() as callhook:
        flow = callhook.flow(receiver.base)
        body = {"status": "completed", "caller_number": "+13055559876", "call_flow_id": flow["id"]}
        callhook.data("POST", "/calls/batch", {"calls": [body] * 300})
        receiver.next()
        callhook.kill()
        seen_before = {request.json["delivery_id"] for request in receiver.requests}
        assert len(seen_before) < 300
        release.set()
        receiver.answer = lambda received: (200, {}, b"")
        callhook.restart()
        assert len(callhook.settled(300, status="delivered", seconds=30)) == 300
        assert len({request.json["delivery_id"] for request in receiver.requests}) == 300


def test_killed_during_start_up_it_starts_again(receiver):
    chance = random.Random(11)
    with Callhook() as callhook:
        call = callhook.report(callhook.flow(receiver.base, wait_for_ai=True))
        callhook.kill()
        for _ in range(12):
            callhook.start(wait=False)
            time.sleep(chance.uniform(0, 0.08))
            callhook.kill()
        callhook.restart()
        assert callhook.deliveries(call_id=call["id"])[0]["status"] == "waiting_for_ai"


def test_a_graceful_stop_finishes_what_is_in_flight_and_doubles_nothing(receiver):
    release = threading.Event()
    receiver.answer = lambda received: release.wait(20) and (200, {}, b"")
    with Callhook() as callhook:
        callhook.report(callhook.flow(receiver.base))
        receiver.next()
        callhook.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert callhook.process.poll() is None, "the attempt in flight is waited for"
        release.set()
        assert callhook.process.wait(15) == 0
        callhook.restart()
        assert callhook.settled(1)[0]["status"] == "delivered"
        time.sleep(1)
        assert len(receiver.requests) == 1


def test_what_waits_is_taken_up_after_a_restart(receiver):
    receiver.answer = lambda received: (200, {}, b"") if received.json["attempt"] == 2 else (500, {}, b"")
    with Callhook("--retry-delays=3s") as callhook:
        callhook.report(callhook.flow(receiver.base))
        first = receiver.next()
        wait_until(lambda: callhook.deliveries()[0]["attempt_count"] == 1)
        assert callhook.stop() == 0
        callhook.restart()
        second = receiver.next()
        assert 3 <= second.at - first.at < 8, "neither early nor forgotten"


def test_a_second_process_on_the_same_folder_is_refused_in_one_sentence():
    with Callhook() as callhook:
        command = [BINARY, "serve", "--data-dir", str(callhook.folder / "data"), "--listen", f"127.0.0.1:{free_port()}"]
        environment = {"CALLHOOK_SECRET_KEY": SECRET_KEY} | callhook.environment
        second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)
        assert second.returncode != 0
        assert "in use by another callhook" in second.stderr and len(second.stderr.strip().splitlines()) == 1
        assert callhook.call("GET", "/calls").status_code == 200


def test_one_hanging_endpoint_does_not_delay_another(receiver):
    with Receiver(lambda received: time.sleep(15)) as hanging, Callhook() as callhook:
        stuck, healthy = callhook.flow(hanging.base), callhook.flow(receiver.base)
        body = {"status": "completed", "caller_number": "+13055559876", "call_flow_id": stuck["id"]}
        callhook.data("POST", "/calls/batch", {"calls": [body] * 400})
        waits = []
        for _ in range(20):
            started = time.monotonic()
            callhook.report(healthy)
            waits.append(receiver.next().at - started)
        assert sorted(waits)[10] < 1, waits
