"""A mixed load that keeps the history of what it was told: reports of every kind, analyses, cancellations, redeliveries, repetitions,
erasures."""

import random
import re
import sqlite3
import threading
import time
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

import postgres
from faults.history import Analysis, Erasure, History, Receipt, Report, flaws
from harness import KEY, Callhook, Receiver, Received, wait_until

RETRY_DELAY_SECONDS = 1
RETRIES = 1
FALLBACK_SECONDS = 2
FLAGS = (f"--retry-delays={','.join([f'{RETRY_DELAY_SECONDS}s'] * RETRIES)}", f"--ai-fallback={FALLBACK_SECONDS}s")
CALL = {"status": "completed", "caller_number": "+13055559876", "duration_seconds": 145}
TRACKING_NUMBER = "+15735551234"
# More than one step of a job takes.
JOB_ROWS = 600
# A text in one page, and one that takes several.
MARKED_TIMES = (1, 500)
MARK = re.compile(rb"mark-[0-9a-f]{32}")
# Marked calls of which each erasure takes one: some are in flight, some wait, some have ended long ago.
ERASABLE_MAX = 12
# Requests at a time where the end is heard.
ASKED_AT_ONCE = 8
# How long what is erased may be found in the files; the log is emptied once in a second.
TRACES_SECONDS = 15


def new_mark() -> str:
    return f"mark-{uuid.uuid4().hex}"


def marks_in(folder: Path) -> set[str]:
    """Every mark that any file holds."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {mark.decode() for file in files for mark in MARK.findall(file.read_bytes())}


class Refused(requests.RequestException):
    """It was told to come again, and may: what it asked for may have been done or not."""


class Workload:
    """Works on a server that may die at any moment; what was not answered is asked again when it is back."""

    def __init__(self, callhook: Callhook, receiver: Receiver, seed: int = 1, database: postgres.Server | None = None):
        self.callhook = callhook
        self.receiver = receiver
        # The server that holds the store in place of a file.
        url = callhook.environment.get("CALLHOOK_DATABASE_URL")
        self.database = database or (postgres.of_url(url) if url else None)
        self.history = History(retry_delay=RETRY_DELAY_SECONDS, retries=RETRIES, fallback=FALLBACK_SECONDS)
        self.seed = seed
        self.rounds = 0
        self.stopping = threading.Event()
        self.threads: list[threading.Thread] = []
        self.unanswered: list[tuple[str, dict, dict | None, float]] = []
        self.wrong: list[str] = []
        # Calls that may be erased, and how they were reported.
        self.erasable: list[str] = []
        self.marked: dict[str, tuple[dict, dict | None]] = {}
        self.choosing = threading.Lock()
        # How often it was told to come again.
        self.refused = 0
        # What the store had before, and is past its time: of which flow, and from when.
        self.past_flow: str | None = None
        self.past_since = ""
        receiver.answer = self.answer
        self.flows = {
            "taken": callhook.flow(receiver.base + "/taken"),
            "flaky": callhook.flow(receiver.base + "/flaky"),
            "slow": callhook.flow(receiver.base + "/slow"),
            "refused": callhook.flow(receiver.base + "/refused"),
            "matched": callhook.flow(receiver.base + "/matched"),
            "ai": callhook.flow(receiver.base + "/taken", wait_for_ai=True),
        }
        self.history.matched_flow = self.flows["matched"]["id"]
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
        elif received.path == "/matched" and payload["attempt"] <= RETRIES + 1:
            status = 500
        elif received.path == "/flaky" and payload["attempt"] == 1:
            status = {0: 503, 1: None}.get(chance, 200)
        elif received.path == "/slow":
            time.sleep(0.25)
        self.history.receipts.append(Receipt(
            payload["delivery_id"], payload["call_id"], payload["attempt"], received.body, received.at, time.monotonic(), status,
            received.generation, payload,
        ))
        # What is said of a call comes back in the answer, and lies beside the attempt.
        return None if status is None else (status, {}, (payload.get("transcription") or "noted").encode())

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
            (self.report_for_ai, 12), (self.cancel_waiting, 3), (self.cancel_in_flight, 3), (self.redeliver, 4), (self.redeliver_matching, 2), (self.erase_some, 10),
            (self.switch_off, 0.4),
        ]
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {KEY}"
            while not self.stopping.is_set():
                [deed] = chance.choices([deed for deed, _ in deeds], [weight for _, weight in deeds])
                try:
                    deed(session, chance)
                except requests.RequestException:
                    # It may come back: whoever has broken it says when to stop.
                    self.stopping.wait(0.02)
                except AssertionError as wrong:
                    self.wrong.append(str(wrong))
                    return

    def ask(self, session, method: str, path: str, body=None, headers=None, fine=(200, 201, 202)) -> dict | None:
        """The answer's data; None where the server says that it does not fit any more."""
        answer = session.request(method, f"{self.callhook.base}/api/v1{path}", json=body, headers=headers, timeout=20)
        if answer.status_code in fine:
            return answer.json()["data"]
        if answer.status_code == 503:
            self.refused += 1
            raise Refused(answer.text)
        assert answer.status_code in (404, 409), f"{method} {path}: {answer.status_code} {answer.text}"
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
        if transcription := body.get("transcription"):
            self.history.marks[data["call"]["id"]] = transcription.split()[0]
            self.marked[data["call"]["id"]] = body, headers
        return data["call"]["id"]

    def acknowledged(self, mode: str, call: dict, asked_at: float):
        self.history.reports.append(Report(call["id"], call["source_call_id"], mode, asked_at))

    def some_flow(self, chance) -> str:
        return self.flows[chance.choices(["taken", "flaky", "refused", "matched"], [6, 4, 1, 1])[0]]["id"]

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
            erasure = self.history.erasures.get(report.call_id)
            was_erased = erasure is not None and erasure.acknowledged_at is not None
            again = self.ask(session, "POST", "/calls", CALL | {"source_call_id": report.source_call_id, "tracking_number": TRACKING_NUMBER})
            assert again is None or again["call"]["id"] == report.call_id, f"{report.source_call_id} is two calls"
            assert again is None or not was_erased, f"call {report.call_id} was erased, and a late repeat of its report revives it"

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

    def redeliver_matching(self, session, chance=None):
        """All that have failed of one flow, in one request."""
        asked_at = time.monotonic()
        try:
            begun = self.ask(session, "POST", "/webhook-deliveries/redeliver", {
                "filter": {"call_flow_id": self.history.matched_flow, "status": "failed"},
            })
            if begun:
                self.history.redeliveries[begun["redelivery_id"]] = None
            return begun
        finally:
            self.history.matched.append((asked_at, time.monotonic()))

    def erase_some(self, session, chance):
        """Reports a marked call and erases one of the last, often the very one."""
        mode, flow = chance.choice([("now", "taken"), ("now", "flaky"), ("now", "slow"), ("now", "matched"), ("ai", "ai")])
        body = {"source_call_id": str(uuid.uuid4()), "call_flow_id": self.flows[flow]["id"]}
        body["transcription"] = " ".join([new_mark()] * chance.choice(MARKED_TIMES))
        headers = {"Idempotency-Key": str(uuid.uuid4())} if chance.random() < 0.5 else None
        if call := self.report(session, mode, body, headers):
            self.stopping.wait(chance.choice([0, 0.1]))
            with self.choosing:
                self.erasable.append(call)
                chosen = self.erasable.pop(chance.choice([0, -1])) if len(self.erasable) > chance.randrange(ERASABLE_MAX) else None
            if chosen:
                self.erase(session, chosen)

    def erase(self, session, call: str):
        erasure = self.history.erasures[call] = Erasure(call)
        try:
            answer = session.delete(f"{self.callhook.base}/api/v1/calls/{call}", timeout=20)
        finally:
            erasure.generation = self.receiver.generation
        if answer.status_code == 503:
            self.refused += 1
            self.stopping.wait(0.02)
            return
        assert answer.status_code == 204, f"the erasure of call {call}, which was acknowledged: {answer.status_code} {answer.text}"
        erasure.request_id, erasure.acknowledged_at = answer.headers["x-request-id"], time.monotonic()

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
            unanswered, self.unanswered = self.unanswered, []
            with ThreadPoolExecutor(ASKED_AT_ONCE) as many:
                answers = list(many.map(lambda report: self.report(session, *report), unanswered))
            assert all(answers), "the store is back and refuses"
            self.wait_for_all()
            assert self.redeliver_matching(session), "the store is back and refuses"
        self.wait_for_all()
        self.restart()
        if expired := self.history.expired_marks():
            self.wait_for_traces(expired)
        self.hear()
        self.wait_for_traces(self.history.erased_marks())
        return self.history

    def wait_for_all(self):
        # In this order: what waits becomes scheduled, and never the other way round.
        pending = lambda: any(self.callhook.deliveries(status=status, limit=1) for status in ("waiting_for_ai", "scheduled"))
        wait_until(lambda: not pending(), 60, "the end of all deliveries")

    def restart(self):
        """A clean one, with a look at the file in between."""
        assert self.callhook.stop() == 0
        if self.database:
            self.callhook.start()
            return
        store = sqlite3.connect(self.callhook.folder / "data" / "callhook.db")
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store.execute("PRAGMA foreign_key_check").fetchall() == []
        store.close()
        self.callhook.start()

    def marks(self) -> set[str]:
        """Every mark that the store holds: in a file, or in a table where the files are a server's."""
        if self.database:
            return set(re.findall(MARK.pattern.decode(), self.database.texts(self.callhook.environment["CALLHOOK_DATABASE_SCHEMA"])))
        return marks_in(self.callhook.folder / "data")

    def wait_for_traces(self, marks: set[str]):
        """Until none of them is in the files; what stays is the history's to judge."""
        deadline = time.monotonic() + TRACES_SECONDS
        while True:
            self.history.marks_found = self.marks()
            if not marks & self.history.marks_found or time.monotonic() > deadline:
                return
            time.sleep(0.1)

    def hear(self):
        """What the API says at the end."""
        history, callhook = self.history, self.callhook
        expired = {past.call_id: past for past in history.expired.values() if past.call_id}
        for call in pages(callhook, "/calls", "calls"):
            if call["id"] in expired:
                history.expired_calls.add(call["id"])
            else:
                history.calls[call["id"]] = call
        listed = list(pages(callhook, "/webhook-deliveries", "webhook_deliveries"))
        read = lambda delivery: callhook.delivery(delivery["id"]) if delivery["attempt_count"] > 0 else delivery | {"attempts": []}
        with ThreadPoolExecutor(ASKED_AT_ONCE) as many:
            for detail in many.map(read, listed):
                is_expired = detail["id"] in history.expired
                (history.expired_deliveries if is_expired else history.deliveries)[detail["id"]] = detail
        for redelivery in history.redeliveries:
            answer = callhook.call("GET", f"/redeliveries/{redelivery}")
            history.redeliveries[redelivery] = answer.json()["data"]["redelivery"] if answer.status_code == 200 else None
        if self.past_flow:
            stats = callhook.data("GET", "/webhook-deliveries/stats", params={"since": self.past_since, "call_flow_id": self.past_flow})["stats"]
            history.expired_counts = sum(stats["by_status"].values())
        late = [(call, *self.marked[call]) for call in history.erasures if history.is_erased(call)]
        late += [
            (past.call_id, {"source_call_id": past.source_call_id, "call_flow_id": self.flows["taken"]["id"], "transcription": past.mark}, None)
            for past in expired.values() if past.is_call_expired
        ]
        for call, body, headers in late:
            history.reads[call] = callhook.call("GET", f"/calls/{call}").status_code
            history.repeats[call] = callhook.call("POST", "/calls", CALL | body, headers=headers).status_code

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
