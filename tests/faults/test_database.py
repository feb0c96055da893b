"""The database that holds the store crashes, is cut off, turns read-only, is locked, slow, full, silent: nothing is lost, and sending goes
on by itself."""

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

from faults.test_full import fill
from faults.workload import FLAGS, Workload
from harness import KEY, Callhook, free_port, wait_until
from postgres import Server


@contextmanager
def load_on_a_database(receiver, tmp_path, parent: Path | None = None, **settings: str):
    """A mixed load on a server of its own, which may be broken."""
    database = Server(free_port(), parent, **settings)
    try:
        environment = {"CALLHOOK_DATABASE_URL": database.url, "CALLHOOK_DATABASE_SCHEMA": "calls"}
        with Callhook(*FLAGS, environment=environment, folder=tmp_path) as callhook, Workload(callhook, receiver) as workload:
            workload.start()
            time.sleep(1)
            yield callhook, workload, database
    finally:
        database.close()


def is_ready(callhook: Callhook) -> bool:
    return callhook.session.get(f"{callhook.base}/readyz", timeout=20).status_code == 200


def test_a_crash_of_the_database_loses_nothing_and_sending_goes_on_by_itself(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        for _ in range(3):
            database.stop(signal.SIGQUIT)
            wait_until(lambda: not is_ready(callhook), what="readiness to end")
            database.start()
            back = time.monotonic()
            wait_until(lambda: is_ready(callhook), what="readiness")
            seen = len(receiver.requests)
            wait_until(lambda: len(receiver.requests) > seen, what="a delivery")
            assert time.monotonic() - back < 5, "sending has to go on within 5 s"
            time.sleep(1)
        workload.stop()
        workload.judge(note)


def test_connections_that_are_cut_lose_nothing(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        for _ in range(8):
            database.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'callhook'")
            time.sleep(0.5)
        workload.stop()
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
        seen = len(receiver.requests)
        wait_until(lambda: len(receiver.requests) > seen, 5, "a delivery after the lock")
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


def test_a_killed_server_is_followed_at_once(receiver, tmp_path, note):
    with load_on_a_database(receiver, tmp_path) as (callhook, workload, database):
        for _ in range(3):
            callhook.kill()
            workload.died()
            callhook.start()
            time.sleep(0.7)
        workload.stop()
        workload.judge(note)
