"""What is past its days goes from a running server, and an erased call from all that it keeps."""

import subprocess

from harness import BINARY, SECRET_KEY, STORE, Callhook, Receiver, wait_until
from postgres import of_url

MARK = "unmistakable-transcript"


def traces(callhook: Callhook) -> int:
    """In its files, or in its tables: the pages of a database are its own to clear."""
    if STORE == "postgres":
        return of_url(callhook.environment["CALLHOOK_DATABASE_URL"]).texts(callhook.environment["CALLHOOK_DATABASE_SCHEMA"]).count(MARK)
    return sum(file.read_bytes().count(MARK.encode()) for file in (callhook.folder / "data").iterdir() if file.is_file())


def test_payloads_and_calls_go_when_their_days_are_over(receiver, clocked, tmp_path):
    wall_clock, environment = clocked
    with Callhook(environment=environment, folder=tmp_path) as callhook:
        flow = callhook.flow(receiver.base)
        call = callhook.report(flow, source_call_id="old", transcription=MARK)
        delivery = callhook.settled(1)[0]
        command = [BINARY, "businesses", "retain", "default", "--payload-days", "2", "--call-days", "9",
                   "--data-dir", str(callhook.folder / "data")]
        told = subprocess.run(command, env={"CALLHOOK_SECRET_KEY": SECRET_KEY} | callhook.environment, capture_output=True, text=True, timeout=20)
        assert "(payloads kept 2 days)  (calls kept 9 days)" in told.stdout, told

        for wrong in ("-1", "3651", "99999999999"):
            refused = subprocess.run([*command[:4], "--payload-days", wrong, *command[8:]],
                                     env={"CALLHOOK_SECRET_KEY": SECRET_KEY} | callhook.environment, capture_output=True, text=True, timeout=20)
            assert refused.returncode != 0 and "from 1 to 3650, or 0 for good" in refused.stderr, refused

        # A pass is made at each start, and each hour.
        wall_clock.set(hours=3 * 24)
        assert callhook.stop() == 0
        callhook.restart()
        wait_until(lambda: callhook.delivery(delivery["id"])["payload"] is None, what="the payload's removal")
        purged = callhook.delivery(delivery["id"])
        assert (purged["status"], purged["attempt_count"], purged["attempts"]) == ("delivered", 1, [])
        refused = callhook.call("POST", f"/webhook-deliveries/{delivery['id']}/redeliver", expect=409)
        assert "retention" in refused.json()["error"]["message"]
        assert callhook.data("GET", f"/calls/{call['id']}")["call"]["transcription"] == MARK and traces(callhook) > 0

        wall_clock.set(hours=10 * 24)
        assert callhook.stop() == 0
        callhook.restart()
        wait_until(lambda: callhook.call("GET", f"/calls/{call['id']}").status_code == 404, what="the call's removal")
        assert callhook.deliveries() == []
        wait_until(lambda: traces(callhook) == 0, what="the end of all traces")
        again = {"source_call_id": "old", "status": "busy", "caller_number": "anonymous", "call_flow_id": flow["id"]}
        assert callhook.call("POST", "/calls", again).status_code == 409, "a late repeat does not revive it"


def test_an_erased_call_is_nowhere_in_the_running_server():
    with Receiver(lambda received: (500, {}, b"")) as receiver, Callhook() as callhook:
        flow = callhook.flow(receiver.base)
        call = callhook.report(flow, source_call_id="once", transcription=MARK)
        receiver.next()
        assert traces(callhook) > 0
        callhook.call("DELETE", f"/calls/{call['id']}", expect=204)
        wait_until(lambda: traces(callhook) == 0, what="the end of all traces")
        assert MARK not in callhook.log_text()
