"""callhook and its database with a PgBouncer in between that gives out connections by transaction."""

import os
import signal
import subprocess
import time
import uuid

import pytest
import requests

import pgbouncer
from faults.workload import FLAGS, Workload
from harness import BINARY, SECRET_KEY, Callhook, free_port, wait_until
from pgbouncer import PgBouncer
from postgres import Server, shared_server
from visitor import first

pytestmark = pytest.mark.skipif(pgbouncer.why_not() is not None, reason=str(pgbouncer.why_not()))

CUT = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'callhook'"


@pytest.fixture
def bouncer():
    bouncer = PgBouncer(shared_server())
    yield bouncer
    bouncer.close()


@pytest.fixture
def store(bouncer):
    schema = f"pooled_{uuid.uuid4().hex[:12]}"
    yield {"CALLHOOK_DATABASE_URL": bouncer.url, "CALLHOOK_DATABASE_SCHEMA": schema}
    shared_server().sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def run(*words: str, **env: str) -> subprocess.CompletedProcess:
    environment = {"PATH": os.environ["PATH"], "CALLHOOK_SECRET_KEY": SECRET_KEY} | env
    return subprocess.run([BINARY, *words], env=environment, capture_output=True, text=True, timeout=60)


def test_calls_come_in_and_go_out_and_the_dashboard_shows_them(bouncer, store, receiver, tmp_path):
    with Callhook("--retry-delays=1s,1s", environment=store, folder=tmp_path) as callhook:
        flow = callhook.flow(receiver.base)
        many = [{"status": "completed", "call_flow_id": flow["id"], "caller_number": "+13055559876", "duration_seconds": n} for n in range(200)]
        for _ in range(5):
            callhook.data("POST", "/calls/batch", {"calls": many})
        assert {delivery["status"] for delivery in callhook.settled(500, 60)} == {"delivered"}
        assert callhook.data("GET", "/webhook-deliveries/stats")["stats"]["by_status"]["delivered"] == 1000
        visitor = first(callhook)
        for page in ("deliveries", "calls", "call-flows"):
            assert visitor.get(f"{visitor.home}/{page}").status_code == 200, page
        doctor = run("doctor", "--data-dir", str(tmp_path / "data"), **store)
        assert doctor.returncode == 0 and "callhook at 127.0.0.1" in doctor.stdout, doctor.stdout
        # As many connections as the page says.
        [pool] = [pool for pool in bouncer.ask("SHOW POOLS") if pool["database"] == "callhook"]
        assert pool["pool_mode"] == "transaction" and int(pool["sv_active"]) + int(pool["sv_idle"]) + int(pool["sv_used"]) <= 9
        assert callhook.stop() == 0
        assert " ERROR " not in callhook.log_text(), callhook.log_text()


def test_a_second_process_is_refused(store, tmp_path):
    with Callhook(environment=store, folder=tmp_path) as callhook:
        second = run("serve", "--data-dir", str(tmp_path / "second"), f"--listen=127.0.0.1:{free_port()}", **store)
        assert second.returncode == 1 and f"in use by another callhook (process {callhook.process.pid}" in second.stderr, second.stderr
        callhook.kill()
        callhook.start()
        assert callhook.stop() == 0


@pytest.mark.parametrize("settings, words", [
    ({"max_prepared_statements": "0"}, "set max_prepared_statements = 256"),
    ({"pool_mode": "statement"}, "transaction blocks not allowed"),
])
def test_one_that_is_set_up_wrongly_is_refused_at_the_start(settings, words, tmp_path):
    bouncer = PgBouncer(shared_server(), **settings)
    try:
        store = {"CALLHOOK_DATABASE_URL": bouncer.url, "CALLHOOK_DATABASE_SCHEMA": f"refused_{len(words)}"}
        started = run("serve", "--data-dir", str(tmp_path / "data"), f"--listen=127.0.0.1:{free_port()}", **store)
        assert started.returncode == 1 and words in started.stderr, started.stderr
        assert words in run("doctor", "--data-dir", str(tmp_path / "data"), **store).stdout
    finally:
        bouncer.close()


def test_a_pool_of_one_connection_is_slow_and_nothing_else(tmp_path, receiver):
    bouncer = PgBouncer(shared_server(), default_pool_size="1")
    try:
        store = {"CALLHOOK_DATABASE_URL": bouncer.url, "CALLHOOK_DATABASE_SCHEMA": "pool_of_one"}
        with Callhook(environment=store, folder=tmp_path) as callhook:
            callhook.report(callhook.flow(receiver.base))
            callhook.settled(1)
            assert callhook.stop() == 0
    finally:
        bouncer.close()


@pytest.mark.embedded
def test_a_store_moves_in_and_out(store, receiver, tmp_path):
    url, schema = store["CALLHOOK_DATABASE_URL"], store["CALLHOOK_DATABASE_SCHEMA"]
    with Callhook(folder=tmp_path) as callhook:
        flow = callhook.flow(receiver.base)
        call = callhook.report(flow, transcription="x" * 900_000)
        callhook.settled(1)
        assert callhook.stop() == 0
    there = run("migrate-store", "--from", str(tmp_path / "data"), "--to", url, "--to-schema", schema)
    assert there.returncode == 0, there.stderr
    with Callhook(environment=store, folder=tmp_path) as callhook:
        assert callhook.data("GET", f"/calls/{call['id']}")["call"]["transcription"] == "x" * 900_000
        callhook.report(flow)
        callhook.settled(2)
        assert callhook.stop() == 0
    back = run("migrate-store", "--from", url, "--from-schema", schema, "--to", str(tmp_path / "back"))
    assert back.returncode == 0, back.stderr


@pytest.fixture(scope="module")
def breakable():
    """One that syncs what it commits, and is crashed."""
    server = Server(free_port())
    yield server
    server.close()


@pytest.mark.parametrize("harm", ["at once", "after transactions", "server connections", "reconnect", "pause", "database"])
def test_what_happens_on_the_way_loses_nothing(breakable, receiver, tmp_path, harm):
    server, bouncer = breakable, PgBouncer(breakable)

    def restart(how: signal.Signals):
        bouncer.stop(how)
        time.sleep(0.3)
        bouncer.start()

    def pause():
        bouncer.ask("PAUSE callhook")
        time.sleep(1)
        bouncer.ask("RESUME callhook")

    def crash():
        server.stop()
        time.sleep(2)
        server.start()

    harms = {
        "at once": lambda: restart(signal.SIGQUIT), "after transactions": lambda: restart(signal.SIGINT),
        "server connections": lambda: server.sql(CUT), "reconnect": lambda: bouncer.ask("RECONNECT callhook"), "pause": pause, "database": crash,
    }
    try:
        environment = {"CALLHOOK_DATABASE_URL": bouncer.url, "CALLHOOK_DATABASE_SCHEMA": f"calls_{harm.replace(' ', '_')}"}
        with (
            Callhook(*FLAGS, environment=environment, folder=tmp_path) as callhook,
            Workload(callhook, receiver, database=server) as workload,
        ):
            workload.start()
            for _ in range(4):
                time.sleep(0.5)
                harms[harm]()
            since = time.monotonic()
            seen = len(receiver.requests)
            wait_until(lambda: requests.get(f"{callhook.base}/readyz", timeout=20).status_code == 200, what="readiness")
            wait_until(lambda: len(receiver.requests) > seen, what="a delivery")
            assert time.monotonic() - since < 5, "sending goes on within 5 s"
            time.sleep(0.5)
            workload.stop()
            workload.judge()
    finally:
        bouncer.close()
