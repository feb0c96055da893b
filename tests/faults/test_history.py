"""The judge is judged: a sound history passes, and each kind of flaw is noticed by the check that is there for it."""

import copy
import json

import pytest

from faults.history import Analysis, Erasure, Expired, History, Receipt, Report, flaws


def receipt(delivery_id, call_id, attempt, at, status=200, generation=1, ai=False, summary=None, body="same", flow="f"):
    payload = {"body": body, "ai_processed": ai, "summary": summary, "call_flow_id": flow}
    text = json.dumps(payload)[:-1] + f',"webhook_sent_at":"{at}","delivery_id":"{delivery_id}","attempt":{attempt}}}'
    return Receipt(delivery_id, call_id, attempt, text.encode(), at, at + 0.01, status, generation, payload)


def delivery(delivery_id, call_id, status, *attempts, flow="f"):
    on_record = [{"attempt": number, "status_code": code} for number, code in attempts]
    count = max((number for number, _ in attempts), default=0)
    return delivery_id, {"id": delivery_id, "call_id": call_id, "call_flow_id": flow, "status": status, "attempt_count": count, "attempts": on_record}


def sound() -> History:
    """Calls: taken at once, retried over a death with its first attempt doubled, failed, cancelled, sent when AI was done, failed and
    sent again by filter; erased after a first attempt, and so while one was in flight; erased at the death, and not erased there. Two of
    long ago, of which one is past its time and of the other its payload, and a sample."""
    there = ["now", "again", "failed", "cancelled", "ai", "matched", "kept"]
    erased = ["erased", "in flight", "at the death"]
    return History(
        reports=[Report(name, f"source {name}", "ai" if name in ("ai", "cancelled") else "now", 0) for name in there + erased],
        analyses={"ai": Analysis("What was said.", 0.5, 0.6)},
        cancelled_at={"d-cancelled": 0.3},
        matched_flow="m",
        matched=[(8.0, 8.1)],
        redeliveries={"r": {"id": "r", "status": "ended", "matched": 1, "estimated": 1, "redelivered": 1, "skipped": 0}},
        marks={name: f"mark {name}" for name in ("kept", *erased)},
        erasures={
            "erased": Erasure("erased", 1.5), "in flight": Erasure("in flight", 0.5), "at the death": Erasure("at the death"),
            "kept": Erasure("kept"),
        },
        receipts=[
            receipt("d-now", "now", 1, 1, generation=0), receipt("d-again", "again", 1, 1, 503, generation=0), receipt("d-again", "again", 1, 3, 503),
            receipt("d-again", "again", 2, 4.1), receipt("d-ai", "ai", 1, 0.7, generation=0, ai=True, summary="What was said."),
            *(receipt("d-failed", "failed", number, 5 + 1.2 * number, 500) for number in (1, 2, 3)),
            *(receipt("d-matched", "matched", number, 4 + 1.2 * number, 500 if number < 4 else 200, flow="m") for number in (1, 2, 3)),
            receipt("d-matched", "matched", 4, 8.2, flow="m"), receipt("d-kept", "kept", 1, 1, generation=0),
            receipt("d-erased", "erased", 1, 1, 503, generation=0), receipt("d-flight", "in flight", 1, 0.6, generation=0),
        ],
        deaths=[2.0],
        calls={name: {"id": name, "source_call_id": f"source {name}"} for name in there},
        deliveries=dict([
            delivery("d-now", "now", "delivered", (1, 200)), delivery("d-again", "again", "delivered", (1, 503), (2, 200)),
            delivery("d-failed", "failed", "failed", (1, 500), (2, 500), (3, 500)), delivery("d-cancelled", "cancelled", "cancelled"),
            delivery("d-ai", "ai", "delivered", (1, 200)), delivery("d-kept", "kept", "delivered", (1, 200)),
            delivery("d-matched", "matched", "delivered", (1, 500), (2, 500), (3, 500), (4, 200), flow="m"),
        ]),
        expired={past.delivery_id: past for past in (
            Expired("d-past", "answer past", True, "past", "source past", "mark past"), Expired("d-sample", "answer sample", True),
            Expired("d-payload", "answer payload", False, "payload", "source payload", "mark payload"),
        )},
        expired_calls={"payload"},
        expired_deliveries={"d-payload": {"id": "d-payload", "payload": None, "attempts": []}},
        reads=dict.fromkeys(["past", *erased], 404),
        repeats=dict.fromkeys(["past", *erased], 409),
        marks_found={"mark kept", "mark payload"},
    )


def test_a_sound_history_has_no_flaw():
    assert flaws(sound()) == []
    assert len(sound().doubled()) == 1


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


def make_a_call_twice_by_its_key(history):
    history.calls["now too"] = {"id": "now too", "source_call_id": None}


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


def forget_a_redelivery(history):
    history.redeliveries["r"] = None


def leave_a_redelivery_under_way(history):
    history.redeliveries["r"]["status"] = "under_way"


def count_a_step_twice(history):
    history.redeliveries["r"]["redelivered"] = 2


def leave_the_matched_failed(history):
    history.deliveries["d-matched"]["status"] = "failed"


def list_the_erased(history):
    history.calls["erased"] = {"id": "erased", "source_call_id": "source erased"}


def leave_a_delivery_of_the_erased(history):
    history.deliveries |= [delivery("d-erased", "erased", "cancelled", (1, 503))]


def leave_a_delivery_of_the_half_erased(history):
    history.deliveries |= [delivery("d-death", "at the death", "cancelled")]


def leave_no_delivery_of_the_not_erased(history):
    del history.deliveries["d-kept"]


def read_the_erased(history):
    history.reads["at the death"] = 200


def revive_the_erased(history):
    history.repeats["erased"] = 201


def leave_the_text_of_the_erased(history):
    history.marks_found.add("mark at the death")


def search_nothing(history):
    history.marks_found = {"mark payload"}


def send_the_erased_late(history):
    history.receipts[-2].at = 2.6


def send_the_erased_twice(history):
    history.receipts += [receipt("d-erased", "erased", number, 1.5 + number / 10, 503, generation=0) for number in (2, 3)]


def send_the_erased_after_a_start(history):
    history.receipts.append(receipt("d-erased", "erased", 1, 2.3, 503))


def send_the_half_erased_after_a_start(history):
    history.receipts.append(receipt("d-death", "at the death", 1, 2.3))


def keep_counts(history):
    history.expired_counts = 1


def keep_an_answer(history):
    history.marks_found.add("answer sample")


def keep_a_call(history):
    history.expired_calls.add("past")


def keep_a_sample(history):
    history.expired_deliveries["d-sample"] = {}


def keep_a_text(history):
    history.marks_found.add("mark past")


def keep_a_payload(history):
    history.expired_deliveries["d-payload"]["payload"] = {}


def keep_attempts(history):
    history.expired_deliveries["d-payload"]["attempts"] = [{}]


def purge_a_call_too_early(history):
    history.expired_calls.clear()


def purge_a_delivery_too_early(history):
    history.expired_deliveries.clear()


def purge_a_text_too_early(history):
    history.marks_found.remove("mark payload")


def revive_the_expired(history):
    history.repeats["past"] = 201


@pytest.mark.parametrize("spoil, check", [
    (lose_call, "lost"), (lose_delivery, "lost"), (leave_pending, "lost"), (deliver_to_nobody, "lost"),
    (make_call_twice, "made_twice"), (make_a_call_twice_by_its_key, "made_twice"), (make_delivery_twice, "made_twice"), (send_the_unknown, "strayed"),
    (skip_a_number, "renumbered"), (begin_with_the_second, "renumbered"),
    (double_without_a_death, "doubled"), (double_long_before_the_death, "doubled"), (double_in_one_life, "doubled"),
    (change_the_bytes, "changed"), (change_the_id, "changed"), (retry_early, "early"),
    (send_the_cancelled, "sent_unwanted"), (send_what_was_taken, "sent_unwanted"),
    (forget_an_attempt, "off_the_record"), (invent_an_attempt, "off_the_record"), (forget_the_doubled, "off_the_record"),
    (count_wrongly, "misjudged"), (call_the_taken_failed, "misjudged"), (give_up_early, "misjudged"),
    (fall_back_early, "ill_timed_ai"), (send_without_the_analysis, "ill_timed_ai"), (invent_an_analysis, "ill_timed_ai"),
    (forget_a_redelivery, "miscounted"), (leave_a_redelivery_under_way, "miscounted"), (count_a_step_twice, "miscounted"),
    (leave_the_matched_failed, "left_out"), (leave_no_delivery_of_the_not_erased, "lost"),
    (list_the_erased, "revived"), (leave_a_delivery_of_the_erased, "revived"), (leave_a_delivery_of_the_half_erased, "revived"),
    (read_the_erased, "revived"), (revive_the_erased, "revived"), (leave_the_text_of_the_erased, "revived"), (search_nothing, "revived"),
    (send_the_erased_late, "sent_after_erasure"), (send_the_erased_twice, "sent_after_erasure"),
    (send_the_erased_after_a_start, "sent_after_erasure"), (send_the_half_erased_after_a_start, "sent_after_erasure"),
    *((keep, "kept_too_long") for keep in (
        keep_counts, keep_an_answer, keep_a_call, keep_a_sample, keep_a_text, keep_a_payload, keep_attempts, purge_a_call_too_early,
        purge_a_delivery_too_early, purge_a_text_too_early, revive_the_expired,
    )),
])
def test_a_flaw_is_noticed(spoil, check):
    history = copy.deepcopy(sound())
    spoil(history)
    found = {flaw.partition(":")[0] for flaw in flaws(history)}
    assert check in found, f"{spoil.__name__}: {flaws(history)}"
