"""What an operator sees: /metrics as the official parser and promtool read it, and that its documentation and alerts are true."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from harness import ROOT, STORE, Callhook, Receiver, wait_until

ALERTS = ROOT / "deploy/alerts.yml"
# What each store has in place of the other's.
OF_ONE_STORE = {"sqlite": {"callhook_store_log_bytes", "callhook_store_database_bytes"}, "postgres": {"callhook_store_statements_total"}}
# What Prometheus itself makes.
OF_PROMETHEUS = {"up"}


def page(callhook: Callhook) -> str:
    answer = requests.get(f"{callhook.base}/metrics", timeout=10)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def samples(callhook: Callhook) -> dict:
    """Values by name and labels."""
    families = text_string_to_metric_families(page(callhook))
    found = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, *(value for _, value in sorted(sample.labels.items())))
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def names_shown(text: str) -> set[str]:
    """Names as an operator writes them: counters with `_total`, histograms without a suffix."""
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))


def names_of_both(callhook: Callhook) -> set[str]:
    """All that an operator may meet, whatever the store is kept in."""
    shown = names_shown(page(callhook))
    assert {name for names in OF_ONE_STORE.values() for name in names} & shown == OF_ONE_STORE[STORE]
    return shown.union(*OF_ONE_STORE.values())


def promtool(*arguments: str, **options) -> subprocess.CompletedProcess:
    program = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if not program:
        pytest.skip("promtool is not here: scripts/test fetches it")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, **options)


@pytest.fixture(scope="module")
def worked():
    """A server that has done a bit of everything, and its receiver."""

    def answer(received):
        return (503, {}, b"") if received.path == "/fails" else (200, {}, b"ok")

    with Receiver(answer) as receiver, Callhook("--retry-delays=1s") as callhook:
        callhook.report(callhook.flow(f"{receiver.base}/works"), source_call_id="CA1")
        callhook.report(callhook.flow(f"{receiver.base}/fails"))
        refused = {"status": "completed", "caller_number": "+13055559876", "duration_seconds": -1}
        callhook.call("POST", "/calls", refused, 422)
        callhook.settled(2)
        yield callhook


def test_the_page_is_read_by_the_official_parser_and_says_what_happened(worked):
    found = samples(worked)
    expected = {
        ("callhook_attempts_total", "success"): 1,
        ("callhook_attempts_total", "http_5xx"): 2,
        ("callhook_deliveries_ended_total", "delivered"): 1,
        ("callhook_deliveries_ended_total", "failed"): 1,
        ("callhook_calls_reported_total", "created"): 2,
        ("callhook_calls_reported_total", "refused"): 1,
        ("callhook_attempt_lateness_seconds_count",): 3,
        ("callhook_attempt_seconds_count",): 3,
        ("callhook_http_requests_total", "POST", "/api/v1/calls", "4xx"): 1,
        ("callhook_found_by_sweep_total",): 0,
        ("callhook_store_readable",): 1,
        ("callhook_dispatcher_answers",): 1,
    }
    assert {key: found.get(key) for key in expected} == expected
    # The retry waited for its second, and began hardly later than that.
    assert found["callhook_attempt_lateness_seconds_sum",] < 1
    assert found["callhook_store_group_operations_count",] == found["callhook_store_sync_seconds_count",]
    assert 1e6 < found["process_resident_memory_bytes",] < 1e9


def test_promtool_finds_nothing_to_complain_of(worked):
    checked = promtool("check", "metrics", input=page(worked))
    assert checked.returncode == 0 and not checked.stderr, checked.stdout + checked.stderr


def test_the_documentation_names_every_metric_and_no_other(worked):
    shown = names_of_both(worked)
    documentation = (ROOT / "docs/operations.md").read_text()
    rows = set(re.findall(r"^\| `((?:callhook|process)_\w+)` \|", documentation, re.MULTILINE))
    assert rows == shown
    mentioned = set(re.findall(r"`((?:callhook|process)_\w+?)(?:_bucket)?[`{\[(]", documentation))
    assert mentioned <= shown, mentioned - shown


def test_the_alerts_are_valid_documented_and_about_metrics_that_exist(worked):
    rules = ALERTS.read_text()
    expressions = " ".join(re.findall(r"expr: (.*?)\n\s+(?:for|labels):", rules, re.DOTALL))
    named = set(re.findall(r"\b((?:callhook|process)_\w+?)(?:_bucket)?\b", expressions))
    shown = names_of_both(worked)
    assert named and named <= shown, named - shown
    alerts = re.findall(r"alert: (\w+)", rules)
    documentation = (ROOT / "docs/operations.md").read_text()
    assert re.findall(r"^\| `(Callhook\w+)` \|", documentation, re.MULTILINE) == alerts


def test_the_alerts_fire_when_they_should(worked):
    tried = set(re.findall(r"alertname: (\w+)", (ALERTS.parent / "alerts_test.yml").read_text()))
    assert tried == set(re.findall(r"alert: (\w+)", ALERTS.read_text())), "each is tried"
    checked = promtool("check", "rules", str(ALERTS))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", "alerts_test.yml", cwd=ALERTS.parent)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_work_that_is_due_and_not_done_shows_its_age():
    """A receiver that never answers: the process is fine, and the oldest due delivery grows older."""
    import threading

    ends = threading.Event()

    def hangs(_):
        ends.wait(20)

    with Receiver(hangs) as receiver, Callhook() as callhook:
        callhook.report(callhook.flow(receiver.base))
        receiver.next()

        def is_old():
            found = samples(callhook)
            return found if found["callhook_oldest_due_seconds",] > 2 else None

        found = wait_until(is_old, 15, "an oldest due delivery of 2 s")
        assert (found["callhook_deliveries_due",], found["callhook_slots_used",]) == (1, 1)
        ends.set()
