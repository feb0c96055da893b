"""A store with a past: calls, samples, kept answers and counts of long ago, of which a server that starts today keeps only some."""

import shutil
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from faults.history import Expired
from faults.workload import FLAGS, Workload, new_mark
from harness import STORE, Callhook, Received, Receiver, free_port
from postgres import Server, environment, schema_of
from wall_clock import WallClock

DAY_HOURS = 24
RETENTION = {"payload_days": 2, "call_days": 9}
# Before both days, and between the two.
CALLS_DAYS_AGO, PAYLOADS_DAYS_AGO = 12, 3
# More than two steps of the store's retention take.
CALLS, PAYLOADS, SAMPLES = 120, 200, 160
# Of each old call: enough for two steps in which space is given back.
TEXT_BYTES = 20_000


@dataclass
class Past:
    """What the store held when it was left, and the receiver that all of it went to."""

    folder: Path
    receiver: Receiver
    # Of the server, and of the database where there is one: the times in it are its own.
    wall_clock: WallClock
    database: Server | None
    expired: list[Expired] = field(default_factory=list)
    # Of the calls that are past their time.
    flow: str = ""
    since: str = ""

    def copy(self, folder: Path):
        """The store once more, for a server on that folder."""
        shutil.copytree(self.folder / "data", folder / "data", ignore=shutil.ignore_patterns("*.sock"))
        if self.database:
            self.database.copy(schema_of(self.folder), schema_of(folder))

    def environment(self, folder: Path) -> dict[str, str]:
        """Of a server on that folder."""
        return self.wall_clock.environment | (environment(folder, self.database) if self.database else {})

    def set_back(self):
        """To the days after the store was left: its latest calls are not past their time yet."""
        self.wall_clock.set(-PAYLOADS_DAYS_AGO * DAY_HOURS)

    def end(self):
        """Today: all is past its time."""
        self.wall_clock.set(0)

    def hand_over(self, callhook: Callhook, workload: Workload):
        """From the next pass of retention on, what is past its time goes, and the workload has an eye on it."""
        callhook.call("PATCH", "/business", {"retention": RETENTION}, 200)
        workload.history.expired = {delivery.delivery_id: delivery for delivery in self.expired}
        workload.past_flow, workload.past_since = self.flow, self.since


@contextmanager
def live_through(folder: Path, binary: str):
    """Lets a server work on days of long ago, and leaves its folder."""
    answers: dict[str, str] = {}

    def answer(received: Received):
        mark = answers[received.json["delivery_id"]] = new_mark()
        return 200, {}, mark.encode()

    database = Server(free_port(), has_clock=True, fsync="off") if STORE == "postgres" else None
    wall_clock = database.wall_clock if database else WallClock(folder)
    wall_clock.set(-CALLS_DAYS_AGO * DAY_HOURS)
    with Receiver(answer) as receiver:
        past = Past(folder, receiver, wall_clock, database)
        past.since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - (CALLS_DAYS_AGO + 1) * DAY_HOURS * 3600))
        with Callhook(*FLAGS, folder=folder, binary=binary, environment=past.environment(folder)) as callhook:
            past.flow = callhook.flow(receiver.base)["id"]
            report(callhook, past, answers, past.flow, CALLS, TEXT_BYTES, is_call_expired=True)
            samples = callhook.flow(receiver.base)["id"]
            for _ in range(SAMPLES):
                callhook.call("POST", f"/call-flows/{samples}/test-webhook", expect=200)
            tests = callhook.deliveries(call_flow_id=samples, limit=500)
            assert len(tests) == SAMPLES
            past.expired += [Expired(test["id"], answers[test["id"]], is_call_expired=True) for test in tests]
            stats = callhook.data("GET", "/webhook-deliveries/stats", params={"since": past.since, "call_flow_id": past.flow})["stats"]
            assert stats["by_status"]["delivered"] == CALLS, "there must be something to purge"
            assert callhook.stop() == 0
            past.set_back()
            callhook.start()
            report(callhook, past, answers, callhook.flow(receiver.base)["id"], PAYLOADS, 100, is_call_expired=False)
            assert callhook.stop() == 0
        yield past
    if database:
        database.close()


def report(callhook: Callhook, past: Past, answers: dict[str, str], flow: str, count: int, text_bytes: int, is_call_expired: bool):
    """Reports so many calls, each with a text of its own and a key, and waits until they are delivered."""
    reported = {}

    def report_one(_):
        mark, source_call_id = new_mark(), str(uuid.uuid4())
        text = " ".join([mark] * (text_bytes // len(mark)))
        call = callhook.data("POST", "/calls", {
            "source_call_id": source_call_id, "status": "completed", "caller_number": "+13055559876", "call_flow_id": flow, "transcription": text,
        }, 201, headers={"Idempotency-Key": str(uuid.uuid4())})["call"]
        reported[call["id"]] = source_call_id, mark

    with ThreadPoolExecutor(4) as several:
        list(several.map(report_one, range(count)))
    for delivery in callhook.settled(count, status="delivered", call_flow_id=flow):
        source_call_id, mark = reported[delivery["call_id"]]
        past.expired.append(Expired(delivery["id"], answers[delivery["id"]], is_call_expired, delivery["call_id"], source_call_id, mark))
