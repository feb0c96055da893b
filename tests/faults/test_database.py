"""The database that holds the store crashes, gives way to its standby, is cut off in the middle of commits, turns read-only, is locked,
slow, full, silent: nothing is lost, and sending goes on by itself."""

import os
import signal
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from faults.cutter import Cut, Cutter
from faults.test_full import fill
from faults.workload import FLAGS, Workload
from harness import KEY, Callhook, free_port, wait_until
from postgres import Server


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
    return callhook.session.get(f"{callhook.base}/readyz", timeout=20).status_code == 200


def wait_until_it_goes_on(callhook: Callhook, receiver) -> str:
    """To be called when the database is back: what is written and sent from now on comes soon enough."""
    since = time.monotonic()
    wait_until(lambda: is_ready(callhook), what="readiness")
    seen = len(receiver.requests)
    wait_until(lambda: len(receiver.requests) > seen, what="a delivery")
    took = time.monotonic() - since
    assert took < 5, f"sending has to go on within 5 s, and did after {took:.1f} s"
    return f"sending again after {took:.2f} s"


def test_a_crash_of_the_database_loses_nothing_and_sending_goes_on_by_itself(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        for _ in range(3):
            database.stop(signal.SIGQUIT)
            wait_until(lambda: not is_ready(callhook), what="readiness to end")
            database.start()
            wait_until_it_goes_on(callhook, receiver)
            time.sleep(1)
        workload.stop()
        workload.judge(note)


class Pair:
    """A server and its synchronous standby, as one address."""

    def __init__(self, server: Server):
        self.server, self.standby = server, Server(free_port(), standby_of=server)
        streams = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        wait_until(lambda: server.sql(streams).strip() == "1", what="a standby")
        server.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        server.sql("SELECT pg_reload_conf()")
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
        note(wait_until_it_goes_on(callhook, receiver))
        workload.database = pair.standby
        time.sleep(2)
        workload.stop()
        workload.judge(note)


def test_connections_that_are_cut_lose_nothing(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        for _ in range(8):
            database.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'callhook'")
            time.sleep(0.5)
        workload.stop()
        workload.judge(note)


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
        note(wait_until_it_goes_on(callhook, receiver))
        time.sleep(1)
        workload.stop()
        note(f"{cutter.cuts} of {cutter.passed} commits cut, {workload.refused} refused")
        workload.judge(note)


def test_a_database_that_turns_read_only_acknowledges_nothing_and_comes_back(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        for is_read_only in ("on", "off"):
            database.sql(f"ALTER SYSTEM SET default_transaction_read_only = {is_read_only}")
            database.sql("SELECT pg_reload_conf()")
            wait_until(lambda: is_ready(callhook) == (is_read_only == "off"), what=f"readiness while read-only is {is_read_only}")
        workload.stop()
        workload.judge(note)
        assert workload.refused > 0


def test_a_lock_that_somebody_holds_is_waited_out(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        locked = threading.Thread(target=database.sql, args=("BEGIN; LOCK TABLE calls.calls IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(12)",))
        locked.start()
        wait_until(lambda: workload.refused > 0, 20, "a refusal")
        locked.join()
        note(wait_until_it_goes_on(callhook, receiver))
        workload.stop()
        workload.judge(note)


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
        note(wait_until_it_goes_on(callhook, receiver))
        workload.stop()
        workload.judge(note)


def test_a_slow_database_is_slow_and_nothing_else(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        database.sql("""CREATE FUNCTION calls.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END';
            CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON calls.deliveries FOR EACH ROW EXECUTE FUNCTION calls.slow()""")
        time.sleep(4)
        database.sql("DROP TRIGGER slow ON calls.deliveries")
        workload.stop()
        workload.judge(note)


def test_a_row_that_the_database_refuses_fails_alone(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        workload.stop()
        database.sql("ALTER TABLE calls.calls ADD CONSTRAINT poison CHECK (caller_number <> '+13055550000') NOT VALID")
        flow = callhook.flow(receiver.base + "/taken")

        def report(number: int) -> int:
            caller = "+13055550000" if number == 250 else "+13055559876"
            body = {"status": "completed", "caller_number": caller, "call_flow_id": flow["id"]}
            headers = {"Authorization": f"Bearer {KEY}"}
            return requests.post(f"{callhook.base}/api/v1/calls", json=body, headers=headers, timeout=30).status_code

        with ThreadPoolExecutor(32) as many:
            answers = list(many.map(report, range(500)))
        assert [number for number, status in enumerate(answers) if status != 201] == [250] and answers[250] == 500
        assert len(callhook.settled(499, 60, call_flow_id=flow["id"])) == 499


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
        wait_until(lambda: is_ready(callhook), 30, "readiness")
        workload.stop()
        workload.judge(note)


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
        wait_until(lambda: is_ready(callhook), 30, "readiness")
        seen = len(receiver.requests)
        wait_until(lambda: len(receiver.requests) > seen, 10, "a delivery")
        workload.stop()
        workload.judge(note)
        # What was refused as not written is not committed with what came after it.
        assert "already a transaction in progress" not in database.log


@pytest.mark.long
def test_while_a_synchronous_standby_is_away_no_connections_pile_up(receiver, tmp_path, note):
    """A write that waits for it is broken off at the server as well."""
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        database.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        database.sql("SELECT pg_reload_conf()")
        time.sleep(100)
        waiting = int(database.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'callhook' AND wait_event = 'SyncRep'"))
        database.sql("ALTER SYSTEM RESET synchronous_standby_names")
        database.sql("SELECT pg_reload_conf()")
        assert waiting <= 3, f"{waiting} connections wait: two write, one beats"
        wait_until(lambda: is_ready(callhook), 60, "readiness")
        workload.stop()
        workload.judge(note)


def test_a_killed_server_is_followed_at_once(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        for _ in range(3):
            callhook.kill()
            workload.died()
            callhook.start()
            time.sleep(0.7)
        workload.stop()
        workload.judge(note)
