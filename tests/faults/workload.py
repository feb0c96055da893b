"""A mixed load that keeps the history of what it was told: reports of every kind, analyses, cancellations, redeliveries, repetitions."""

import random
import threading
import time
import uuid
import zlib

import requests

from faults.history import Analysis, History, Receipt, Report, flaws
from harness import KEY, Callhook, Receiver, Received, wait_until

RETRY_DELAY_SECONDS = 1
RETRIES = 1
FALLBACK_SECONDS = 2
FLAGS = (f"--retry-delays={','.join([f'{RETRY_DELAY_SECONDS}s'] * RETRIES)}", f"--ai-fallback={FALLBACK_SECONDS}s")
CALL = {"status": "completed", "caller_number": "+13055559876", "duration_seconds": 145}
TRACKING_NUMBER = "+15735551234"
# More than one step of a job takes.
JOB_ROWS = 600


class Workload:
    """Works on a server that may die at any moment; what was not answered is asked again when it is back."""

    def __init__(self, callhook: Callhook, receiver: Receiver, seed: int = 1):
        self.callhook = callhook
        self.receiver = receiver
        self.history = History(retry_delay=RETRY_DELAY_SECONDS, retries=RETRIES, fallback=FALLBACK_SECONDS)
        self.seed = seed
        self.rounds = 0
        self.stopping = threading.Event()
        self.threads: list[threading.Thread] = []
        self.unanswered: list[tuple[str, dict, dict | None, float]] = []
        self.wrong: list[str] = []
        # How often it was told to come again.
        self.refused = 0
        receiver.answer = self.answer
        self.flows = {
            "taken": callhook.flow(receiver.base + "/taken"),
            "flaky": callhook.flow(receiver.base + "/flaky"),
            "slow": callhook.flow(receiver.base + "/slow"),
            "refused": callhook.flow(receiver.base + "/refused"),
            "ai": callhook.flow(receiver.base + "/taken", wait_for_ai=True),
        }
        number = {"phone_number": TRACKING_NUMBER, "friendly_name": "Tampa", "call_flow_id": self.flows["taken"]["id"]}
        callhook.data("POST", "/numbers", number, 201)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping.set()

    # The receiver's side.

    def answer(self, received: Received):
        """Half of what is flaky fails at first: some with a 503, some without an answer."""
        if received.path == "/mark":
            return 204, {}, b""
        payload = received.json
        chance = zlib.crc32(payload["delivery_id"].encode()) % 4
        status = 200
        if received.path == "/refused":
            status = 500
        elif received.path == "/flaky" and payload["attempt"] == 1:
            status = {0: 503, 1: None}.get(chance, 200)
        elif received.path == "/slow":
            time.sleep(0.25)
        self.history.receipts.append(Receipt(
            payload["delivery_id"], payload["call_id"], payload["attempt"], received.body, received.at, time.monotonic(), status,
            received.generation, payload,
        ))
        return None if status is None else (status, {}, b"noted")

    # The clients' side.

    def start(self, threads: int = 4):
        self.stopping.clear()
        self.rounds += 1
        self.threads = [threading.Thread(target=self.work, args=(number,), daemon=True) for number in range(threads)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        assert not self.wrong, self.wrong

    def work(self, number: int):
        chance = random.Random(f"{self.seed} {self.rounds} {number}")
        deeds = [
            (self.report_one, 30), (self.report_batch, 4), (self.report_once, 6), (self.report_by_number, 4), (self.repeat, 6),
            (self.report_for_ai, 12), (self.cancel_waiting, 3), (self.cancel_in_flight, 3), (self.redeliver, 4), (self.switch_off, 0.4),
        ]
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {KEY}"
            while not self.stopping.is_set():
                [deed] = chance.choices([deed for deed, _ in deeds], [weight for _, weight in deeds])
                try:
                    deed(session, chance)
                except requests.RequestException:
                    # It may come back: whoever killed it says when to stop.
                    self.stopping.wait(0.02)
                except AssertionError as wrong:
                    self.wrong.append(str(wrong))
                    return

    def ask(self, session, method: str, path: str, body=None, headers=None, fine=(200, 201, 202)) -> dict | None:
        """The answer's data; None where the server is busy or says that it does not fit any more."""
        answer = session.request(method, f"{self.callhook.base}/api/v1{path}", json=body, headers=headers, timeout=20)
        if answer.status_code in fine:
            return answer.json()["data"]
        if answer.status_code == 503:
            self.refused += 1
            self.stopping.wait(0.02)
        assert answer.status_code in (404, 409, 503), f"{method} {path}: {answer.status_code} {answer.text}"
        return None

    def report(self, session, mode: str, body: dict, headers: dict | None = None, asked_at: float | None = None) -> str | None:
        """Reports a call that may be reported again; answers the call's id. `asked_at`: when it was reported first."""
        asked_at = asked_at or time.monotonic()
        try:
            data = self.ask(session, "POST", "/calls", CALL | body, headers)
        except requests.RequestException:
            self.unanswered.append((mode, body, headers, asked_at))
            raise
        if data is None:
            return None
        self.acknowledged(mode, data["call"], asked_at)
        return data["call"]["id"]

    def acknowledged(self, mode: str, call: dict, asked_at: float):
        self.history.reports.append(Report(call["id"], call["source_call_id"], mode, asked_at))

    def some_flow(self, chance) -> str:
        return self.flows[chance.choices(["taken", "flaky", "refused"], [6, 4, 1])[0]]["id"]

    def report_one(self, session, chance):
        self.report(session, "now", {"source_call_id": str(uuid.uuid4()), "call_flow_id": self.some_flow(chance)})

    def report_by_number(self, session, chance):
        self.report(session, "now", {"source_call_id": str(uuid.uuid4()), "tracking_number": TRACKING_NUMBER})

    def report_once(self, session, chance):
        """Known by its key alone: a repetition must give the same call."""
        headers, flow = {"Idempotency-Key": str(uuid.uuid4())}, self.some_flow(chance)
        first = self.report(session, "now", {"call_flow_id": flow}, headers)
        if first and chance.random() < 0.5:
            again = self.ask(session, "POST", "/calls", CALL | {"call_flow_id": flow}, headers)
            assert again is None or again["call"]["id"] == first, f"one key made the calls {first} and {again['call']['id']}"

    def repeat(self, session, chance):
        if known := [report for report in self.history.reports[-50:] if report.source_call_id]:
            report = chance.choice(known)
            again = self.ask(session, "POST", "/calls", CALL | {"source_call_id": report.source_call_id, "tracking_number": TRACKING_NUMBER})
            assert again is None or again["call"]["id"] == report.call_id, f"{report.source_call_id} is two calls"

    def report_batch(self, session, chance):
        self.batch(session, "now", self.some_flow(chance), chance.randint(2, 20))

    def batch(self, session, mode: str, flow: str, count: int):
        calls = [CALL | {"source_call_id": str(uuid.uuid4()), "call_flow_id": flow} for _ in range(count)]
        asked_at = time.monotonic()
        try:
            data = self.ask(session, "POST", "/calls/batch", {"calls": calls})
        except requests.RequestException:
            self.unanswered += [(mode, call, None, asked_at) for call in calls]
            raise
        for result in data["results"] if data else []:
            self.acknowledged(mode, result["call"], asked_at)

    def report_for_ai(self, session, chance):
        call = self.report(session, "ai", {"source_call_id": str(uuid.uuid4()), "call_flow_id": self.flows["ai"]["id"]})
        if call and chance.random() < 0.7:
            analysis = self.history.analyses[call] = Analysis(f"Summary of {call}", time.monotonic())
            if self.ask(session, "PUT", f"/calls/{call}/analysis", {"summary": analysis.summary, "ai_score": 80}):
                analysis.acknowledged_at = time.monotonic()

    def delivery_of(self, session, call: str | None) -> str | None:
        data = self.ask(session, "GET", f"/webhook-deliveries?call_id={call}") if call else None
        return data["webhook_deliveries"][0]["id"] if data else None

    def cancel(self, session, delivery: str | None):
        if delivery and self.ask(session, "POST", f"/webhook-deliveries/{delivery}/cancel"):
            self.history.cancelled_at[delivery] = time.monotonic()

    def cancel_waiting(self, session, chance):
        call = self.report(session, "ai", {"source_call_id": str(uuid.uuid4()), "call_flow_id": self.flows["ai"]["id"]})
        self.cancel(session, self.delivery_of(session, call))

    def cancel_in_flight(self, session, chance):
        call = self.report(session, "now", {"source_call_id": str(uuid.uuid4()), "call_flow_id": self.flows["slow"]["id"]})
        self.stopping.wait(0.1)
        self.cancel(session, self.delivery_of(session, call))

    def redeliver(self, session, chance):
        flow = self.flows["refused"]["id"]
        failed = self.ask(session, "GET", f"/webhook-deliveries?call_flow_id={flow}&status=failed&limit=5")
        for delivery in failed["webhook_deliveries"] if failed else []:
            self.history.redelivered_at[delivery["id"]].append(time.monotonic())
            self.ask(session, "POST", f"/webhook-deliveries/{delivery['id']}/redeliver")

    def switch_off(self, session, chance):
        """So many wait that a job cancels them in steps."""
        hook = {"enabled": True, "url": self.receiver.base + "/taken", "wait_for_ai": True}
        made = self.ask(session, "POST", "/call-flows", {"name": "Switched off", "post_call_webhook": hook})
        if made:
            flow = made["call_flow"]["id"]
            for _ in range(2):
                self.batch(session, "job", flow, JOB_ROWS // 2)
            self.ask(session, "PATCH", f"/call-flows/{flow}", {"post_call_webhook": {"enabled": False}})

    # The end.

    def died(self):
        """To be called before the next start."""
        self.history.deaths.append(time.monotonic())
        # Connections are taken up in order: when this one is, all those of the dead are.
        assert requests.get(self.receiver.base + "/mark", timeout=20).status_code == 204
        self.receiver.generation += 1

    def finish(self) -> History:
        """Asks again what was not answered, waits until everything has ended, and hears the API."""
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {KEY}"
            while self.unanswered:
                mode, body, headers, asked_at = self.unanswered.pop()
                assert self.report(session, mode, body, headers, asked_at), "the store is back and refuses"
        # In this order: what waits becomes scheduled, and never the other way round.
        pending = lambda: any(self.callhook.deliveries(status=status, limit=1) for status in ("waiting_for_ai", "scheduled"))
        wait_until(lambda: not pending(), 60, "the end of all deliveries")
        history = self.history
        history.calls = {call["id"]: call for call in pages(self.callhook, "/calls", "calls")}
        for delivery in pages(self.callhook, "/webhook-deliveries", "webhook_deliveries"):
            was_tried = delivery["attempt_count"] > 0
            detail = self.callhook.delivery(delivery["id"]) if was_tried else delivery | {"attempts": []}
            history.deliveries[delivery["id"]] = detail
        return history

    def judge(self, note=lambda text: None):
        history = self.finish()
        found = flaws(history)
        assert not found, f"{len(found)} flaws:\n" + "\n".join(found[:20])
        note(history.summary())


def pages(callhook: Callhook, path: str, name: str):
    """All of a list."""
    cursor = None
    while True:
        data = callhook.data("GET", path, params={"limit": 500} | ({"cursor": cursor} if cursor else {}))
        yield from data[name]
        cursor = data.get("next_cursor")
        if cursor is None:
            return
