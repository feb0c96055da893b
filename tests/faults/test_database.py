"""The database that holds the store crashes, gives way to its standby, is cut off in the middle of commits, turns read-only, is locked,
slow, full, silent: nothing is lost, and sending goes on by itself."""

import os
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from faults.cutter import Cut, Cutter
from faults.test_full import fill
from faults.workload import CALL, FLAGS, Workload
from harness import KEY, Callhook, free_port, wait_until
from postgres import Server
from test_metrics import samples


@contextmanager
def load_on_a_database(receiver, tmp_path, parent: Path | None = None, way_to=None, **settings: str):
    """A mixed load on a server of its own, which may be broken, or else what stands before it."""
    database = Server(free_port(), parent, **settings)
    between = way_to(database) if way_to else None
    try:
        environment = {"CALLHOOK_DATABASE_URL": (between or database).url, "CALLHOOK_DATABASE_SCHEMA": "calls"}
        with (
            Callhook(*FLAGS, environment=environment, folder=tmp_path) as callhook,
            Workload(callhook, receiver, database=database) as workload,
        ):
            workload.start()
            time.sleep(1)
            yield callhook, workload, between or database
    finally:
        if between:
            between.close()
        database.close()


def is_ready(callhook: Callhook) -> bool:
    """It is not, either, where the look at the store takes too long to wait for."""
    with suppress(requests.Timeout):
        return callhook.session.get(f"{callhook.base}/readyz", timeout=5).status_code == 200
    return False


def wait_until_it_goes_on(callhook: Callhook, workload: Workload, seconds: float = 5) -> str:
    """To be called when the database is back: a call that is reported from now on is taken and sent soon enough."""
    since = time.monotonic()
    body = {"source_call_id": str(uuid.uuid4()), "call_flow_id": workload.flows["taken"]["id"]}

    def reported() -> str | None:
        with suppress(requests.RequestException):
            return workload.report(callhook.session, "now", body)

    call = wait_until(reported, 60, "an acknowledgement")
    wait_until(lambda: any(receipt.call_id == call for receipt in workload.history.receipts), 60, "a delivery")
    wait_until(lambda: is_ready(callhook), 60, "readiness")
    took = time.monotonic() - since
    assert took < seconds, f"sending has to go on within {seconds} s, and did after {took:.1f} s"
    return f"sending again after {took:.2f} s"


def end(callhook: Callhook, workload: Workload, note):
    """To be called when the database is back, too: sending goes on, and nothing is lost."""
    note(wait_until_it_goes_on(callhook, workload))
    workload.stop()
    workload.judge(note)


def test_a_crash_of_the_database_loses_nothing_and_sending_goes_on_by_itself(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        for _ in range(3):
            database.stop(signal.SIGQUIT)
            wait_until(lambda: not is_ready(callhook), what="readiness to end")
            database.start()
            note(wait_until_it_goes_on(callhook, workload))
            time.sleep(1)
        workload.stop()
        workload.judge(note)


class Pair:
    """A server and its synchronous standby, as one address."""

    def __init__(self, server: Server):
        self.server, self.standby = server, Server(free_port(), standby_of=server)
        streams = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        wait_until(lambda: server.sql(streams).strip() == "1", what="a standby")
        server.reload(synchronous_standby_names="*")
        self.url = f"postgres://postgres@127.0.0.1:{server.port},127.0.0.1:{self.standby.port}/postgres?target_session_attrs=read-write"

    def fail_over(self):
        self.server.stop(signal.SIGQUIT)
        self.standby.run("pg_ctl", "promote", "-D", str(self.standby.data))

    def close(self):
        self.standby.close()


@pytest.mark.long
def test_a_synchronous_standby_takes_over_all_that_was_acknowledged(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path, way_to=Pair) as (callhook, workload, pair):
        assert "synchronous standbys (*)" in callhook.log_text()
        pair.fail_over()
        note(wait_until_it_goes_on(callhook, workload))
        workload.database = pair.standby
        time.sleep(2)
        workload.stop()
        workload.judge(note)


def test_connections_that_are_cut_lose_nothing(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        for _ in range(8):
            time.sleep(0.5)
            database.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'callhook'")
        end(callhook, workload, note)


@pytest.mark.parametrize("cut", Cut, ids=lambda cut: cut.value)
def test_commits_that_are_cut_are_neither_acknowledged_nor_made_twice(receiver, tmp_path, cut, note):
    with load_on_a_database(receiver, tmp_path, way_to=Cutter) as (callhook, workload, cutter):
        # Here and there one, among those that pass.
        cutter.begin(cut, every=5)
        wait_until(lambda: cutter.cuts >= 20, 120, "cuts")
        # Then each of them: whoever is told that a call is on record is lied to.
        cutter.begin(cut)
        time.sleep(0.5)
        acknowledged, refused, cuts = len(workload.history.reports), workload.refused, cutter.cuts
        wait_until(lambda: cutter.cuts >= cuts + 20, 120, "cuts")
        assert len(workload.history.reports) == acknowledged and workload.refused > refused
        cutter.end()
        note(wait_until_it_goes_on(callhook, workload))
        time.sleep(1)
        workload.stop()
        note(f"{cutter.cuts} of {cutter.passed} commits cut, {workload.refused} refused")
        workload.judge(note)


def test_a_database_that_turns_read_only_acknowledges_nothing_and_comes_back(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        database.reload(default_transaction_read_only="on")
        wait_until(lambda: not is_ready(callhook), what="readiness to end")
        database.reload(default_transaction_read_only="off")
        end(callhook, workload, note)
        assert workload.refused > 0


def test_a_lock_that_somebody_holds_is_waited_out(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        locked = threading.Thread(target=database.sql, args=("BEGIN; LOCK TABLE calls.calls IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(12)",))
        locked.start()
        wait_until(lambda: workload.refused > 0, 20, "a refusal")
        locked.join()
        end(callhook, workload, note)


@pytest.mark.long
def test_a_lock_of_30_seconds_on_the_hot_tables_is_waited_out(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        # Deliveries first, as whoever changes them alone.
        locked = threading.Thread(target=database.sql, args=(
            "BEGIN; LOCK TABLE calls.deliveries, calls.calls IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(30)",
        ))
        locked.start()
        held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'calls.calls'::regclass"
        wait_until(lambda: database.sql(held).strip() == "1", what="the lock")
        # What was committed before is answered.
        time.sleep(1)
        acknowledged = len(workload.history.reports)
        # A group waits 5 s for a lock, and fails as a whole.
        wait_until(lambda: workload.refused > 0, 20, "a refusal")
        assert len(workload.history.reports) == acknowledged, "somebody was told that a call is on record"
        locked.join()
        end(callhook, workload, note)


@contextmanager
def slow(database: Server, seconds: float):
    """Each row of a delivery that is written takes so long. A statement that has begun goes on for as long as it was told to."""
    database.sql(f"""CREATE TABLE public.slow AS SELECT {seconds}::float AS seconds;
        CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(seconds) FROM public.slow; RETURN NEW; END';
        CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON calls.deliveries FOR EACH ROW EXECUTE FUNCTION public.slow()""")
    yield
    database.sql("UPDATE public.slow SET seconds = 0")


def seconds_of_a_group(found: dict, since: dict | None = None) -> float:
    """As callhook's metrics have it, on average."""
    grown = lambda name: found[name,] - (since[name,] if since else 0)
    return grown("callhook_store_group_seconds_sum") / grown("callhook_store_group_seconds_count")


def test_a_slow_database_is_slow_and_nothing_else(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        before = samples(callhook)
        with slow(database, 0.05):
            time.sleep(4)
            while_slow = samples(callhook)
        took, usually = seconds_of_a_group(while_slow, before), seconds_of_a_group(before)
        note(f"{took:.3f} s a group, {usually:.3f} s before")
        assert took > 2 * usually, "it was not slow"
        end(callhook, workload, note)
        assert workload.refused == 0


@pytest.mark.long
def test_writes_that_take_longer_than_they_may_are_broken_off(receiver, tmp_path, note):
    """After 30 s, by the database, for each of its writers."""
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        with slow(database, 45):
            # What was committed before is answered.
            time.sleep(1)
            acknowledged = len(workload.history.reports)
            wait_until(lambda: database.log.count("canceling statement due to statement timeout") >= 2, 75, "the end of two statements")
            assert len(workload.history.reports) == acknowledged, "somebody was told that a call is on record"
            assert not is_ready(callhook)
        # Those that have begun meanwhile have their time, too.
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'callhook' AND wait_event = 'PgSleep'"
        since = time.monotonic()
        wait_until(lambda: database.sql(sleeping).strip() == "0", 31, "the end of what had begun")
        note(f"what had begun took {time.monotonic() - since:.1f} s more")
        end(callhook, workload, note)


def test_reads_that_take_longer_than_they_may_are_broken_off(receiver, tmp_path, note):
    """After 5 s, and sending does not wait for them."""
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        delivery = callhook.deliveries(status="delivered", limit=1)[0]["id"]
        # For lists alone, which are known by their limit: what is written looks at attempts, too.
        database.sql("""BEGIN; ALTER TABLE calls.attempts RENAME TO attempts_kept; CREATE VIEW calls.attempts AS SELECT * FROM calls.attempts_kept
            WHERE current_setting('statement_timeout') <> '5s' OR pg_sleep(20) IS NOT NULL; COMMIT""")
        since = time.monotonic()
        callhook.call("GET", f"/webhook-deliveries/{delivery}", expect=503)
        assert 4.5 < time.monotonic() - since < 6.5
        note(wait_until_it_goes_on(callhook, workload))
        database.sql("BEGIN; DROP VIEW calls.attempts; ALTER TABLE calls.attempts_kept RENAME TO attempts; COMMIT")
        callhook.call("GET", f"/webhook-deliveries/{delivery}", expect=200)
        end(callhook, workload, note)


POISONED = "+13055550000"
POISON = f"ALTER TABLE calls.calls ADD CONSTRAINT poison CHECK (caller_number <> '{POISONED}') NOT VALID"


def answer_to(callhook: Callhook, path: str, body) -> int:
    """On a connection of its own: many ask at once."""
    return requests.post(f"{callhook.base}/api/v1{path}", json=body, headers={"Authorization": f"Bearer {KEY}"}, timeout=30).status_code


@pytest.mark.parametrize("beside", ["load", "nothing"])
def test_a_row_that_the_database_refuses_fails_alone_in_a_group_of_501(receiver, tmp_path, beside, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        database.sql(POISON)
        # Beside nothing else, reports that have nothing to ask are one statement.
        new_id = lambda: {"source_call_id": str(uuid.uuid4())} if beside == "load" else {}
        if beside == "nothing":
            workload.stop()
        flow = workload.flows["taken"]["id"]
        large = lambda found: found["callhook_store_group_operations_count",] - found["callhook_store_group_operations_bucket", "256"]
        before = large(samples(callhook))
        # Until all of them wait for the writer.
        lock = "BEGIN; LOCK TABLE calls.calls IN SHARE ROW EXCLUSIVE MODE; SELECT pg_sleep(4)"
        locked = threading.Thread(target=database.sql, args=(lock,))
        locked.start()
        wait_until(lambda: "ShareRowExclusiveLock" in database.sql("SELECT mode FROM pg_locks WHERE granted"), what="the lock")

        def report(number: int) -> str | int:
            if number == 250:
                return answer_to(callhook, "/calls", CALL | {"call_flow_id": flow, "caller_number": POISONED})
            with requests.Session() as session:
                session.headers["Authorization"] = f"Bearer {KEY}"
                return workload.report(session, "now", new_id() | {"call_flow_id": flow})

        with ThreadPoolExecutor(501) as many:
            calls = list(many.map(report, range(501)))
        # What the database refuses for its data is no reason to come again.
        assert calls.pop(250) == 500 and len(set(calls)) == 500
        locked.join()
        assert large(samples(callhook)) > before, "they were not in one group"
        note(f"refused {database.log.count('violates check constraint')} times in halving")
        end(callhook, workload, note)
        assert workload.refused == 0


def test_a_batch_with_a_row_that_the_database_refuses_fails_as_a_whole_and_alone(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        database.sql(POISON)
        flow = workload.flows["taken"]["id"]
        calls = [CALL | {"source_call_id": f"batch {number}", "call_flow_id": flow} for number in range(500)]
        for number in (0, 250, 499):
            poisoned = calls[:number] + [calls[number] | {"caller_number": POISONED}] + calls[number + 1:]
            assert answer_to(callhook, "/calls/batch", {"calls": poisoned}) == 500
        assert database.sql("SELECT count(*) FROM calls.calls WHERE source_call_id LIKE 'batch %'").strip() == "0"
        asked_at = time.monotonic()
        for result in callhook.data("POST", "/calls/batch", {"calls": calls})["results"]:
            workload.acknowledged("now", result["call"], asked_at)
        end(callhook, workload, note)
        assert workload.refused == 0


@pytest.fixture
def small_disk():
    """A small file system for the database alone, where its user gets to."""
    folder = Path(tempfile.mkdtemp(prefix="callhook-disk-"))
    folder.chmod(0o755)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=110m,mode=755", "small", folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
    folder.rmdir()


def test_a_full_disk_of_the_database_loses_nothing(receiver, tmp_path, small_disk, note):
    with load_on_a_database(receiver, tmp_path, small_disk, max_wal_size="8MB", min_wal_size="2MB") as (callhook, workload, database):
        ballast = fill(small_disk, leave=200_000)
        # What fits on a page that is there is still taken; what needs another is not.
        wait_until(lambda: workload.refused > 50, 60, "a full disk")
        ballast.unlink()
        if database.process.poll() is not None:
            database.start()
        end(callhook, workload, note)


@pytest.mark.long
def test_a_database_that_falls_silent_in_the_middle_is_given_up(receiver, tmp_path, note):
    """Its processes stand still for longer than an answer is waited for, then go on with what they were at."""
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        backends = database.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'callhook'").split()
        for backend in backends:
            os.kill(int(backend), signal.SIGSTOP)
        # 30 s that a statement may take, 10 s beyond.
        time.sleep(45)
        for backend in backends:
            os.kill(int(backend), signal.SIGCONT)
        end(callhook, workload, note)
        # What was refused as not written is not committed with what came after it.
        assert "already a transaction in progress" not in database.log


@pytest.mark.long
def test_connections_that_fall_silent_for_good_are_given_up(receiver, tmp_path, note):
    """Nobody says that they have ended. It is 30 s that a statement may take and 10 s beyond until that is taken for sure."""
    with load_on_a_database(receiver, tmp_path, way_to=Cutter) as (callhook, workload, cutter):
        cutter.silence()
        # What was on its way is answered.
        time.sleep(0.5)
        acknowledged = len(workload.history.reports)
        time.sleep(30)
        assert len(workload.history.reports) == acknowledged, "somebody was told that a call is on record"
        note(wait_until_it_goes_on(callhook, workload, 40 + 5 - 30.5))
        workload.stop()
        workload.judge(note)


@pytest.mark.long
def test_while_a_synchronous_standby_is_away_no_connections_pile_up(receiver, tmp_path, note):
    """A write that waits for it is broken off at the server as well."""
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        database.reload(synchronous_standby_names="nobody")
        time.sleep(100)
        waiting = int(database.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'callhook' AND wait_event = 'SyncRep'"))
        database.reload(synchronous_standby_names="")
        assert waiting <= 3, f"{waiting} connections wait: two write, one beats"
        end(callhook, workload, note)


def test_a_killed_server_is_followed_at_once(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        for _ in range(3):
            callhook.kill()
            workload.died()
            callhook.start(wait=False)
            note(wait_until_it_goes_on(callhook, workload))
            time.sleep(0.7)
        workload.stop()
        workload.judge(note)
