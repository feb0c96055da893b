"""The judge is judged: a sound history passes, and each kind of flaw is noticed by the check that is there for it."""

import copy
import json

import pytest

from faults.history import Analysis, History, Receipt, Report, flaws


def receipt(delivery_id, call_id, attempt, at, status=200, generation=1, ai=False, summary=None, body="same"):
    payload = {"body": body, "ai_processed": ai, "summary": summary}
    text = json.dumps(payload)[:-1] + f',"webhook_sent_at":"{at}","delivery_id":"{delivery_id}","attempt":{attempt}}}'
    return Receipt(delivery_id, call_id, attempt, text.encode(), at, at + 0.01, status, generation, payload)


def delivery(delivery_id, call_id, status, *attempts):
    on_record = [{"attempt": number, "status_code": code} for number, code in attempts]
    count = max((number for number, _ in attempts), default=0)
    return delivery_id, {"id": delivery_id, "call_id": call_id, "status": status, "attempt_count": count, "attempts": on_record}


def sound() -> History:
    """Five calls: taken at once, retried over a death with its first attempt doubled, failed, cancelled, sent when AI was done."""
    calls = ["now", "again", "failed", "cancelled", "ai"]
    return History(
        reports=[Report(name, f"source {name}", "ai" if name in ("ai", "cancelled") else "now", 0) for name in calls],
        analyses={"ai": Analysis("What was said.", 0.5, 0.6)},
        cancelled_at={"d-cancelled": 0.3},
        receipts=[
            receipt("d-now", "now", 1, 1, generation=0), receipt("d-again", "again", 1, 1, 503, generation=0), receipt("d-again", "again", 1, 3, 503),
            receipt("d-again", "again", 2, 4.1), receipt("d-ai", "ai", 1, 0.7, generation=0, ai=True, summary="What was said."),
            *(receipt("d-failed", "failed", number, 5 + 1.2 * number, 500) for number in (1, 2, 3)),
        ],
        deaths=[2.0],
        calls={name: {"id": name, "source_call_id": f"source {name}"} for name in calls},
        deliveries=dict([
            delivery("d-now", "now", "delivered", (1, 200)), delivery("d-again", "again", "delivered", (1, 503), (2, 200)),
            delivery("d-failed", "failed", "failed", (1, 500), (2, 500), (3, 500)), delivery("d-cancelled", "cancelled", "cancelled"),
            delivery("d-ai", "ai", "delivered", (1, 200)),
        ]),
    )


def test_a_sound_history_has_no_flaw():
    assert flaws(sound()) == []
    assert sound().doubled() == 1


def lose_call(history):
    del history.calls["now"]


def lose_delivery(history):
    del history.deliveries["d-cancelled"]


def leave_pending(history):
    history.deliveries["d-cancelled"]["status"] = "scheduled"


def deliver_to_nobody(history):
    history.receipts = [receipt for receipt in history.receipts if receipt.delivery_id != "d-now"]


def make_call_twice(history):
    history.calls["now too"] = {"id": "now too", "source_call_id": "source now"}


def make_delivery_twice(history):
    history.deliveries["d-now2"] = history.deliveries["d-now"] | {"id": "d-now2"}


def send_the_unknown(history):
    history.receipts.append(receipt("d-nobody", "nobody", 1, 1))


def skip_a_number(history):
    history.receipts[3].attempt = 3


def begin_with_the_second(history):
    history.receipts[0].attempt = 2


def double_without_a_death(history):
    history.deaths = []


def double_long_before_the_death(history):
    history.deaths = [4.0]


def double_in_one_life(history):
    history.receipts[2].generation = 0


def change_the_bytes(history):
    history.receipts[3].body = history.receipts[3].body.replace(b"same", b"some")


def change_the_id(history):
    history.receipts[3].delivery_id = "d-other"
    history.deliveries["d-other"] = history.deliveries["d-again"] | {"id": "d-other"}


def retry_early(history):
    history.receipts[3].at = 3.5


def send_the_cancelled(history):
    history.receipts.append(receipt("d-cancelled", "cancelled", 1, 2.6))
    history.deliveries["d-cancelled"]["attempts"].append({"attempt": 1, "status_code": 200})


def send_what_was_taken(history):
    history.receipts.append(receipt("d-ai", "ai", 2, 4, generation=0, ai=True, summary="What was said."))
    history.deaths = []


def forget_an_attempt(history):
    del history.deliveries["d-failed"]["attempts"][1]


def invent_an_attempt(history):
    history.deliveries["d-failed"]["attempts"][1]["status_code"] = 404


def forget_the_doubled(history):
    del history.deliveries["d-again"]["attempts"][0]


def count_wrongly(history):
    history.deliveries["d-now"]["attempt_count"] = 2


def call_the_taken_failed(history):
    history.deliveries["d-now"]["status"] = "failed"


def give_up_early(history):
    history.receipts.pop(), history.deliveries["d-failed"]["attempts"].pop()
    history.deliveries["d-failed"]["attempt_count"] = 2


def fall_back_early(history):
    history.receipts[4].payload = {"ai_processed": False, "summary": None}


def send_without_the_analysis(history):
    history.receipts[4].payload = {"ai_processed": False, "summary": None}
    history.receipts[4].at = 2.4


def invent_an_analysis(history):
    history.receipts[4].payload["summary"] = "What was never said."


@pytest.mark.parametrize("spoil, check", [
    (lose_call, "lost"), (lose_delivery, "lost"), (leave_pending, "lost"), (deliver_to_nobody, "lost"),
    (make_call_twice, "made_twice"), (make_delivery_twice, "made_twice"), (send_the_unknown, "strayed"),
    (skip_a_number, "renumbered"), (begin_with_the_second, "renumbered"),
    (double_without_a_death, "doubled"), (double_long_before_the_death, "doubled"), (double_in_one_life, "doubled"),
    (change_the_bytes, "changed"), (change_the_id, "changed"), (retry_early, "early"),
    (send_the_cancelled, "sent_unwanted"), (send_what_was_taken, "sent_unwanted"),
    (forget_an_attempt, "off_the_record"), (invent_an_attempt, "off_the_record"), (forget_the_doubled, "off_the_record"),
    (count_wrongly, "misjudged"), (call_the_taken_failed, "misjudged"), (give_up_early, "misjudged"),
    (fall_back_early, "ill_timed_ai"), (send_without_the_analysis, "ill_timed_ai"), (invent_an_analysis, "ill_timed_ai"),
])
def test_a_flaw_is_noticed(spoil, check):
    history = copy.deepcopy(sound())
    spoil(history)
    found = {flaw.partition(":")[0] for flaw in flaws(history)}
    assert check in found, f"{spoil.__name__}: {flaws(history)}"
