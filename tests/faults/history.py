"""What happened, as three sides saw it (the clients that were acknowledged, the receiver, the API at the end), and what is wrong with it.

All times are this process's monotonic clock. A server that was killed may have had attempts in flight, or answered and not yet on
record: those alone may come twice, with the same number and bytes, and only from two lives of the server.

A call whose erasure was acknowledged is gone for good, and so is its text from the files. One that was asked for and not acknowledged
may have happened, and then wholly. What was past its time when the server started is gone at the end.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Iterator

# How long an outcome may take to be on disk, in either store: an attempt that was answered so shortly before a death may be made again.
RECORDED_WITHIN_SECONDS = 2.0
# An attempt that had begun when its delivery was cancelled may still arrive so much later.
IN_FLIGHT_SECONDS = 1.0
# Times on disk are whole milliseconds.
PRECISION_SECONDS = 0.005
STAMP = b',"webhook_sent_at":'
ENDED = {"delivered", "failed", "cancelled"}


@dataclass
class Report:
    """A call that a client was told is on record."""

    call_id: str
    source_call_id: str | None
    # What is to become of it: `now` and `ai` are sent, `job` belongs to a flow that is switched off, `none` to no flow.
    mode: str
    # When the request that was acknowledged began.
    asked_at: float


@dataclass
class Analysis:
    """AI that a client has pushed."""

    summary: str
    asked_at: float
    acknowledged_at: float | None = None


@dataclass
class Erasure:
    """A call that a client wants to be erased."""

    call_id: str
    acknowledged_at: float | None = None
    # The life of the server that it was asked of.
    generation: int = 0
    # Of the answer: what was said on the wire can be found by it.
    request_id: str | None = None


@dataclass
class Expired:
    """A delivery of long ago: its payload, or all of its call, is past its time when the server starts. A sample has no call."""

    delivery_id: str
    # What the receiver answered: it lies beside the attempt.
    answer_mark: str
    is_call_expired: bool
    call_id: str | None = None
    source_call_id: str | None = None
    # In the text of the call.
    mark: str | None = None


@dataclass
class Receipt:
    """One request at the receiver."""

    delivery_id: str
    call_id: str
    attempt: int
    body: bytes
    at: float
    answered_at: float
    # None: the connection was closed without an answer.
    status: int | None
    # Which life of the server sent it, from 0; however late the receiver came to read it.
    generation: int = 0
    payload: dict = field(default_factory=dict)


@dataclass
class History:
    retry_delay: float = 1.0
    retries: int = 2
    fallback: float = 2.0
    reports: list[Report] = field(default_factory=list)
    analyses: dict[str, Analysis] = field(default_factory=dict)
    cancelled_at: dict[str, float] = field(default_factory=dict)
    # Asked for, whether or not it was acknowledged.
    redelivered_at: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    # The flow whose failed deliveries are sent again by filter, at the last until none is left; and from when to when that was asked.
    matched_flow: str = ""
    matched: list[tuple[float, float]] = field(default_factory=list)
    # What the API says at the end of each that was acknowledged, by id, in order. The last is asked for while nothing else happens.
    redeliveries: dict[str, dict | None] = field(default_factory=dict)
    # Calls with a text that is found in the files as long as they are there.
    marks: dict[str, str] = field(default_factory=dict)
    erasures: dict[str, Erasure] = field(default_factory=dict)
    # By delivery.
    expired: dict[str, Expired] = field(default_factory=dict)
    receipts: list[Receipt] = field(default_factory=list)
    # The ends of the server's lives but the last, in order.
    deaths: list[float] = field(default_factory=list)
    # What the API says at the end, by id; what is of `expired` stands apart.
    calls: dict[str, dict] = field(default_factory=dict)
    deliveries: dict[str, dict] = field(default_factory=dict)
    expired_calls: set[str] = field(default_factory=set)
    expired_deliveries: dict[str, dict] = field(default_factory=dict)
    # Of the time that is past: how many deliveries are still counted.
    expired_counts: int = 0
    # How a call that was to be erased, or is past its time, is answered: read, and reported once more.
    reads: dict[str, int] = field(default_factory=dict)
    repeats: dict[str, int] = field(default_factory=dict)
    # Every mark that is in a file of the data folder.
    marks_found: set[str] = field(default_factory=set)

    def of_delivery(self) -> dict[str, list[Receipt]]:
        found = defaultdict(list)
        for receipt in sorted(self.receipts, key=lambda receipt: (receipt.generation, receipt.at)):
            found[receipt.delivery_id].append(receipt)
        return found

    def pairs(self) -> Iterator[tuple[Receipt, Receipt]]:
        """Each two requests of one delivery that follow each other."""
        for receipts in self.of_delivery().values():
            yield from zip(receipts, receipts[1:])

    def died_after(self, receipt: Receipt) -> float | None:
        """The death that this attempt's outcome may not have survived."""
        deaths = self.deaths[receipt.generation : receipt.generation + 1]
        return next((death for death in deaths if death <= receipt.answered_at + RECORDED_WITHIN_SECONDS), None)

    def asked_to_redeliver(self, receipt: Receipt, since: float, until: float) -> bool:
        asked = [(at, at) for at in self.redelivered_at.get(receipt.delivery_id, [])]
        if receipt.payload.get("call_flow_id") == self.matched_flow:
            asked += self.matched
        return any(first <= until and last >= since - IN_FLIGHT_SECONDS for first, last in asked)

    def is_erased(self, call_id: str) -> bool:
        """Whether it has to be gone: its erasure was acknowledged, or has happened without that."""
        erasure = self.erasures.get(call_id)
        return erasure is not None and (erasure.acknowledged_at is not None or call_id not in self.calls)

    def expired_marks(self) -> set[str]:
        """What no file may hold after a pass of retention."""
        return {mark for past in self.expired.values() for mark in (past.answer_mark, past.is_call_expired and past.mark) if mark}

    def erased_marks(self) -> set[str]:
        """What no file may hold at the end."""
        return {mark for call_id, mark in self.marks.items() if self.is_erased(call_id)}

    def doubled(self) -> list[float]:
        """Of each attempt that came again, how long before the death it had been answered; 0 where it had not."""
        return [
            max(0.0, next(iter(self.deaths[first.generation :]), 0.0) - first.answered_at)
            for first, second in self.pairs() if first.attempt == second.attempt
        ]

    def summary(self) -> str:
        kinds = Counter(delivery["status"] for delivery in self.deliveries.values())
        ended = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        gone = f"{sum(map(self.is_erased, self.erasures))} erased" + (f", {len(self.expired)} expired" if self.expired else "")
        doubled = self.doubled()
        before = f" (answered up to {max(doubled):.2f} s before)" if doubled else ""
        return f"{len(self.reports)} acknowledged, 0 lost, {len(doubled)} doubled{before}, {len(self.receipts)} received; {ended}; {gone}"


def flaws(history: History) -> list[str]:
    """Everything that must not be; empty where all is well."""
    checks = (
        lost, made_twice, strayed, renumbered, doubled, changed, early, sent_unwanted, off_the_record, misjudged, ill_timed_ai, left_out, miscounted,
        revived, sent_after_erasure, kept_too_long,
    )
    return [f"{check.__name__}: {flaw}" for check in checks for flaw in check(history)]


def lost(history: History) -> Iterator[str]:
    with_delivery = {delivery["call_id"] for delivery in history.deliveries.values()}
    for report in history.reports:
        if history.is_erased(report.call_id):
            continue
        if report.call_id not in history.calls:
            yield f"call {report.call_id} was acknowledged and is not there"
        elif report.mode != "none" and report.call_id not in with_delivery:
            yield f"call {report.call_id} was acknowledged and has no delivery"
    arrived = {receipt.delivery_id for receipt in history.receipts}
    for delivery in history.deliveries.values():
        if delivery["status"] not in ENDED:
            yield f"delivery {delivery['id']} has not ended: it is {delivery['status']}"
        if delivery["status"] in ("delivered", "failed") and delivery["id"] not in arrived:
            yield f"delivery {delivery['id']} is {delivery['status']} and was never received"


def made_twice(history: History) -> Iterator[str]:
    by_source = defaultdict(set)
    for report in history.reports:
        by_source[report.source_call_id].add(report.call_id)
    for call in history.calls.values():
        by_source[call["source_call_id"]].add(call["id"])
    for source_call_id, ids in by_source.items():
        if source_call_id is not None and len(ids) > 1:
            yield f"{source_call_id} is {len(ids)} calls: {sorted(ids)}"
    told = {report.call_id for report in history.reports}
    for call_id in history.calls.keys() - told:
        yield f"call {call_id} is there, and no report of it was answered: what was not answered was reported again"
    for call_id, count in Counter(delivery["call_id"] for delivery in history.deliveries.values()).items():
        if count > 1:
            yield f"call {call_id} has {count} deliveries"


def strayed(history: History) -> Iterator[str]:
    for receipt in history.receipts:
        known = history.deliveries.get(receipt.delivery_id)
        if known is None and history.is_erased(receipt.call_id):
            continue
        if known is None:
            yield f"delivery {receipt.delivery_id} was received and is not there"
        elif known["call_id"] != receipt.call_id:
            yield f"delivery {receipt.delivery_id} carried call {receipt.call_id}, and is of {known['call_id']}"


def renumbered(history: History) -> Iterator[str]:
    for delivery_id, receipts in history.of_delivery().items():
        numbers = [receipt.attempt for receipt in receipts]
        if numbers[0] != 1 or any(second - first not in (0, 1) for first, second in zip(numbers, numbers[1:])):
            yield f"delivery {delivery_id} came with the attempts {numbers}"


def doubled(history: History) -> Iterator[str]:
    for first, second in history.pairs():
        may_repeat = first.generation < second.generation and history.died_after(first) is not None
        if first.attempt == second.attempt and not may_repeat:
            died = next(iter(history.deaths[first.generation :]), None)
            before = f", but answered {died - first.answered_at:.1f} s before it" if died and first.generation < second.generation else ""
            yield f"attempt {first.attempt} of {first.delivery_id} came twice, and was not in flight at a death{before}"


def changed(history: History) -> Iterator[str]:
    by_call = defaultdict(set)
    for delivery_id, receipts in history.of_delivery().items():
        by_call[receipts[0].call_id].add(delivery_id)
        if len({receipt.body.partition(STAMP)[0] for receipt in receipts}) > 1:
            yield f"delivery {delivery_id} did not come with the same bytes each time"
    for call_id, ids in by_call.items():
        if len(ids) > 1:
            yield f"call {call_id} came under {len(ids)} ids of deliveries"


def early(history: History) -> Iterator[str]:
    for first, second in history.pairs():
        waited = second.at - first.answered_at
        is_retry = second.attempt > first.attempt and not history.asked_to_redeliver(first, first.at, second.at)
        if is_retry and waited < history.retry_delay - PRECISION_SECONDS:
            yield f"attempt {second.attempt} of {second.delivery_id} came {waited:.3f} s after the one before"


def sent_unwanted(history: History) -> Iterator[str]:
    for receipt in history.receipts:
        cancelled = history.cancelled_at.get(receipt.delivery_id)
        if cancelled is not None and receipt.at > cancelled + IN_FLIGHT_SECONDS:
            if not history.asked_to_redeliver(receipt, cancelled, receipt.at):
                yield f"delivery {receipt.delivery_id} was sent {receipt.at - cancelled:.1f} s after it was cancelled"
    for first, second in history.pairs():
        was_taken = first.status == 200 and history.died_after(first) is None
        if was_taken and not history.asked_to_redeliver(first, first.at, second.at):
            yield f"delivery {first.delivery_id} was sent again after it had been taken"


def off_the_record(history: History) -> Iterator[str]:
    for delivery_id, receipts in history.of_delivery().items():
        delivery = history.deliveries.get(delivery_id)
        if delivery is None:
            continue
        on_record = {(attempt["attempt"], attempt["status_code"]) for attempt in delivery["attempts"]}
        for receipt in receipts:
            was_seen = history.died_after(receipt) is None
            is_over = delivery["status"] == "cancelled"
            if was_seen and (receipt.attempt, receipt.status) not in on_record:
                yield f"attempt {receipt.attempt} of {delivery_id} was answered {receipt.status} and is not on record"
            elif not is_over and receipt.attempt not in {attempt for attempt, _ in on_record}:
                yield f"attempt {receipt.attempt} of {delivery_id} is on record in no way"
        answered = {(receipt.attempt, receipt.status) for receipt in receipts}
        for attempt, status in on_record - answered:
            if status is not None:
                yield f"attempt {attempt} of {delivery_id} is on record with {status}, which nobody answered"


def misjudged(history: History) -> Iterator[str]:
    for delivery in history.deliveries.values():
        attempts = delivery["attempts"]
        if delivery["attempt_count"] != max((attempt["attempt"] for attempt in attempts), default=0):
            yield f"delivery {delivery['id']} counts {delivery['attempt_count']} attempts, {len(attempts)} are on record"
        was_taken = any(attempt["status_code"] == 200 for attempt in attempts)
        is_simple = delivery["id"] not in history.redelivered_at and delivery["call_flow_id"] != history.matched_flow
        if is_simple and (delivery["status"] == "delivered") != was_taken:
            yield f"delivery {delivery['id']} is {delivery['status']}, and was {'' if was_taken else 'not '}taken"
        if is_simple and delivery["status"] == "failed" and delivery["attempt_count"] != history.retries + 1:
            yield f"delivery {delivery['id']} failed after {delivery['attempt_count']} attempts"


def ill_timed_ai(history: History) -> Iterator[str]:
    waiting = {report.call_id: report for report in history.reports if report.mode == "ai"}
    for receipts in history.of_delivery().values():
        first = receipts[0]
        report, analysis = waiting.get(first.call_id), history.analyses.get(first.call_id)
        if report is None:
            continue
        if first.payload["ai_processed"]:
            if analysis is None or first.payload["summary"] != analysis.summary:
                yield f"call {first.call_id} carried an analysis that nobody pushed"
            continue
        waited = first.at - report.asked_at
        if waited < history.fallback - PRECISION_SECONDS:
            yield f"call {first.call_id} fell back after {waited:.3f} s"
        in_time = report.asked_at + history.fallback - IN_FLIGHT_SECONDS
        if analysis and analysis.acknowledged_at and analysis.acknowledged_at < min(first.at - IN_FLIGHT_SECONDS, in_time):
            yield f"call {first.call_id} was sent without the analysis that was acknowledged before"


def left_out(history: History) -> Iterator[str]:
    for delivery in history.deliveries.values():
        is_meant = delivery["call_flow_id"] == history.matched_flow
        if is_meant and delivery["status"] == "failed":
            yield f"delivery {delivery['id']} matched what was to be sent again, and was not sent"


def miscounted(history: History) -> Iterator[str]:
    for id, redelivery in history.redeliveries.items():
        if redelivery is None:
            yield f"redelivery {id} was acknowledged and is not on record"
        elif redelivery["status"] != "ended":
            yield f"redelivery {id} is {redelivery['status']} and nothing goes on"
    last = [redelivery for redelivery in history.redeliveries.values() if redelivery][-1:]
    for redelivery in last:
        done = redelivery["redelivered"] + redelivery["skipped"]
        if (redelivery["redelivered"], done) != (redelivery["estimated"], redelivery["matched"]):
            yield f"redelivery {redelivery['id']} counts {redelivery['redelivered']} of {redelivery['estimated']}, {done} of {redelivery['matched']}"


def revived(history: History) -> Iterator[str]:
    with_delivery = {delivery["call_id"] for delivery in history.deliveries.values()}
    for call_id in filter(history.is_erased, history.erasures):
        if call_id in history.calls:
            yield f"call {call_id} was erased and is listed"
        if call_id in with_delivery:
            yield f"call {call_id} was erased and has a delivery"
        yield from answered_as_if_there(history, call_id, "was erased")
    for call_id, mark in history.marks.items():
        if history.is_erased(call_id) and mark in history.marks_found:
            yield f"call {call_id} was erased and its text is in the files"
        if call_id in history.calls and mark not in history.marks_found:
            yield f"call {call_id} is there and its text was not found: nothing would be"


def answered_as_if_there(history: History, call_id: str, what: str) -> Iterator[str]:
    if history.reads.get(call_id) != 404:
        yield f"call {call_id} {what} and is read with {history.reads.get(call_id)}"
    if history.repeats.get(call_id) != 409:
        yield f"call {call_id} {what} and a late repeat of its report is answered {history.repeats.get(call_id)}"


def sent_after_erasure(history: History) -> Iterator[str]:
    by_call = defaultdict(list)
    for receipt in history.receipts:
        by_call[receipt.call_id].append(receipt)
    for call_id in filter(history.is_erased, history.erasures):
        erasure = history.erasures[call_id]
        if any(receipt.generation > erasure.generation for receipt in by_call[call_id]):
            yield f"call {call_id} was sent by a server that was started after the erasure"
        if erasure.acknowledged_at is None:
            continue
        late = [receipt.at - erasure.acknowledged_at for receipt in by_call[call_id] if receipt.at > erasure.acknowledged_at]
        if len(late) > 1 or any(seconds > IN_FLIGHT_SECONDS for seconds in late):
            yield f"call {call_id} was sent {len(late)} times up to {max(late):.1f} s after its erasure was acknowledged"


def kept_too_long(history: History) -> Iterator[str]:
    if history.expired_counts:
        yield f"{history.expired_counts} deliveries of a time that is past are still counted"
    for delivery_id, past in history.expired.items():
        found = history.expired_deliveries.get(delivery_id)
        if past.answer_mark in history.marks_found:
            yield f"what was answered to delivery {delivery_id} is past its time and in the files"
        if not past.is_call_expired:
            if found is None or past.call_id not in history.expired_calls or past.mark not in history.marks_found:
                yield f"call {past.call_id} is gone: only its payload was past its time"
            elif found["payload"] is not None or found["attempts"]:
                yield f"delivery {delivery_id} still has what is past its time"
            continue
        if found is not None:
            yield f"delivery {delivery_id} is past its time and listed"
        if past.call_id in history.expired_calls:
            yield f"call {past.call_id} is past its time and listed"
        if past.mark in history.marks_found:
            yield f"call {past.call_id} is past its time and its text is in the files"
        if past.call_id is not None:
            yield from answered_as_if_there(history, past.call_id, "is past its time")
