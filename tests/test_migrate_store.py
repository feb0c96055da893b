"""A store moves: out of its folder into PostgreSQL and back, whatever is done to the program meanwhile."""

import json
import os
import shutil
import sqlite3
import subprocess
import uuid
from pathlib import Path

import pytest

from harness import BINARY, SECRET_KEY, Callhook, Receiver, wait_until
from postgres import shared_server
from test_cli import one_sentence, run

pytestmark = pytest.mark.embedded

WITH_KEY = {"CALLHOOK_SECRET_KEY": SECRET_KEY}
PUBLIC = "--public-url=https://calls.example.com"
CALLS = 2_000
# What a careless copy would change: quotes, marks of statements and of formats, what stands for a lost character, all planes.
LINE = "'\"\\ \\x00 $1 ?1 %s \u00a0\ufffd e\u0301 \U0001f4de {}"
HOSTILE = LINE + "\r\n\t\ufeff\u202e\x7f\x01"
TOKEN = "'\"\\ $1 {} %s"
LISTS = {"calls": "calls", "call-flows": "call_flows", "numbers": "numbers", "sources": "sources", "webhook-deliveries": "webhook_deliveries"}


def lists(callhook: Callhook) -> dict:
    """What the API shows of everything, and of each delivery in detail."""
    shown = {path: callhook.data("GET", f"/{path}", params={"limit": 500})[name] for path, name in LISTS.items()}
    shown["details"] = [callhook.delivery(delivery["id"]) for delivery in shown["webhook-deliveries"][:20]]
    shown["long"] = [callhook.data("GET", f"/calls/{call['id']}")["call"] for call in shown["calls"][:5]]
    return shown


class Stock:
    """A stopped server's folder that holds something of everything, and what its API showed."""

    def __init__(self, folder: Path, receiver: Receiver):
        self.folder, self.receiver = folder, receiver
        with Callhook(PUBLIC, "--retry-delays=1s", "--ai-fallback=24h", folder=folder) as callhook:
            well = callhook.flow(f"{receiver.base}/well", headers={"X-Token": TOKEN})
            ill = callhook.flow(f"{receiver.base}/ill")
            patient = callhook.flow(f"{receiver.base}/patient", wait_for_ai=True)
            many = [{"status": "completed", "tracking_number": "+15735550000", "caller_number": "+13055559876", "duration_seconds": n} for n in range(500)]
            for _ in range(CALLS // 500):
                callhook.data("POST", "/calls/batch", {"calls": many})
            self.repeated = {"headers": {"Idempotency-Key": "once"}}
            self.kept = callhook.data("POST", "/calls", many[0] | {"call_flow_id": well["id"]}, 201, **self.repeated)["call"]
            callhook.report(well, transcription="x" * 900_000 + HOSTILE, source_call_id=LINE)
            callhook.report(ill)
            [self.failed] = [delivery for delivery in callhook.settled(3) if delivery["status"] == "failed"]
            self.waiting = callhook.report(patient, transcription=HOSTILE)
            callhook.data("POST", "/numbers", {"phone_number": "+15735551234", "friendly_name": LINE, "utm_source": "google"}, 201)
            callhook.data("POST", "/sources", {"kind": "twilio", "name": "Main", "auth_token": "0" * 32, "dial": True}, 201)
            callhook.call("DELETE", f"/calls/{callhook.report(source_call_id='erased', tracking_number='+15735550000')['id']}", expect=204)
            assert callhook.stop() == 0
            # The second attempt of these is still to come when the store moves.
            callhook.flags.remove("--retry-delays=1s")
            callhook.flags.append("--retry-delays=8s")
            callhook.restart()
            self.due = [callhook.report(ill)["id"] for _ in range(3)]
            wait_until(lambda: len(callhook.deliveries(status="scheduled", error="http_503")) == 3)
            self.shown = lists(callhook)
            assert callhook.stop() == 0
        # Work that a stop has left.
        with sqlite3.connect(folder / "data/callhook.db") as store:
            [business] = store.execute("SELECT id FROM businesses").fetchone()
            spec = json.dumps({"cancel_lane": {"lane": str(uuid.uuid4()), "reason": HOSTILE}})
            store.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, 1, 1)", (business, uuid.uuid4().bytes, spec, b"\x00\xff"))
        store.close()

    def copy(self, to: Path) -> Path:
        shutil.copytree(self.folder / "data", to / "data", ignore=shutil.ignore_patterns("*.sock"))
        return to / "data"


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    with Receiver(lambda received: (503 if received.path == "/ill" else 200, {}, b"ok")) as receiver:
        yield Stock(tmp_path_factory.mktemp("stock"), receiver)


@pytest.fixture
def schema():
    name = f"moved_{uuid.uuid4().hex[:12]}"
    yield name
    shared_server().sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")


def command(folder: Path, schema: str) -> list[str]:
    return ["migrate-store", "--from", str(folder), "--to", shared_server().url, "--to-schema", schema]


def migrate(folder: Path, schema: str, env: dict = WITH_KEY) -> subprocess.CompletedProcess:
    return run(*command(folder, schema), env=env)


def database(schema: str) -> dict[str, str]:
    return {"CALLHOOK_DATABASE_URL": shared_server().url, "CALLHOOK_DATABASE_SCHEMA": schema}


def refused_start(folder: Path, env: dict = {}) -> str:
    return one_sentence(run("serve", "--data-dir", str(folder), "--listen=127.0.0.1:0", env=WITH_KEY | env))


def rows(schema: str) -> int:
    """How many have arrived, as far as anybody outside sees."""
    there = shared_server().sql(f"SELECT to_regclass('{schema}.jobs') IS NOT NULL").strip() == "t"
    marks = shared_server().sql(f"SELECT convert_from(value, 'UTF8') FROM {schema}.meta WHERE name = 'moving in'").strip() if there else ""
    return json.loads(marks)["rows"] if marks else 0


def test_a_moved_store_goes_on_where_it_was(stock, schema, tmp_path):
    folder = stock.copy(tmp_path)
    moved = migrate(folder, schema)
    assert moved.returncode == 0 and moved.stderr == "", moved.stderr
    table = {line.split()[0]: line.split()[1:] for line in moved.stdout.splitlines()[1:-1]}
    assert table["calls"][0] == str(CALLS + 7) and all(table[name][0] == "1" for name in ("jobs", "tombstones", "idempotency_subjects"))
    assert all(len(columns) == 2 and len(columns[1]) == 12 for columns in table.values()), moved.stdout
    assert f"--database-schema {schema}" in moved.stdout.splitlines()[-1]

    stock.receiver.requests.clear()
    with Callhook(PUBLIC, "--retry-delays=8s", "--ai-fallback=24h", folder=tmp_path, environment=database(schema)) as callhook:
        # What was due is sent once, as the attempt that was to come.
        wait_until(lambda: len(stock.receiver.requests) >= 3)
        ended = wait_until(lambda: [d for d in callhook.deliveries(status="failed") if d["call_id"] in stock.due][2:] and callhook.deliveries(status="failed"))
        assert sorted(received.json["call_id"] for received in stock.receiver.requests) == sorted(stock.due)
        assert {received.json["attempt"] for received in stock.receiver.requests} == {2}
        assert len(ended) == 4

        # The rest is as it was.
        now = lists(callhook)
        is_due = lambda delivery: delivery["call_id"] in stock.due
        for name in now:
            before, after = ([row for row in shown[name] if not is_due({"call_id": None} | row)] for shown in (stock.shown, now))
            assert before == after, name
        kept = callhook.data("POST", "/calls", {"status": "completed", "tracking_number": "+15735550000", "caller_number": "+13055559876", "duration_seconds": 0, "call_flow_id": stock.kept["call_flow_id"]}, 201, **stock.repeated)
        assert kept["call"]["id"] == stock.kept["id"]

        # What waits for AI still does, what failed can be sent again, new calls get bodies of their own.
        stock.receiver.requests.clear()
        callhook.call("PUT", f"/calls/{stock.waiting['id']}/analysis", {"summary": "A roof"}, 200)
        callhook.data("POST", f"/webhook-deliveries/{stock.failed['id']}/redeliver", expect=202)
        flow = next(flow for flow in now["call-flows"] if flow["id"] == stock.kept["call_flow_id"])
        fresh = callhook.report(flow)
        expected = {stock.waiting["id"], stock.failed["call_id"], fresh["id"]}
        wait_until(lambda: {received.json["call_id"] for received in stock.receiver.requests} == expected)
        assert all(received.headers["x-token"] == TOKEN for received in stock.receiver.requests if received.path == "/well")
        assert next(received for received in stock.receiver.requests if received.path == "/patient").json["transcription"] == HOSTILE
    assert "schema " + schema in refused_start(folder)
    assert "was moved to" in run("doctor", "--data-dir", str(folder), env=WITH_KEY).stdout
    assert "was moved to" in run("backup", str(tmp_path / "copy"), "--data-dir", str(folder), env=WITH_KEY).stdout


def test_killed_again_and_again_it_ends_exact_and_only_one_store_is_used_meanwhile(stock, schema, tmp_path):
    folder = stock.copy(tmp_path)
    environment = {"PATH": os.environ["PATH"]} | WITH_KEY
    reached = 0
    for _ in range(2):
        moving = subprocess.Popen([BINARY, *command(folder, schema)], env=environment, stdout=subprocess.DEVNULL)
        wait_until(lambda: moving.poll() is not None or rows(schema) > reached)
        moving.kill()
        assert moving.wait() == -9, "it came to its end before it was killed: the store is too small"
        assert rows(schema) > reached
        reached = rows(schema)
    assert "run `callhook migrate-store` again" in refused_start(tmp_path / "other", database(schema))
    assert "was moved to" in refused_start(folder)
    moved = migrate(folder, schema)
    assert moved.returncode == 0 and "differs" not in moved.stdout, moved.stderr
    for table in ("calls", "deliveries", "attempts", "payloads"):
        with sqlite3.connect(folder / "callhook.db") as store:
            [there] = store.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert int(shared_server().sql(f"SELECT count(*) FROM {schema}.{table}")) == there
    assert "already" in one_sentence(migrate(folder, schema)), "it was moved"


def test_there_and_back_again_nothing_has_changed(stock, schema, tmp_path):
    folder, back = stock.copy(tmp_path), tmp_path / "back" / "data"
    there = migrate(folder, schema)
    again = run("migrate-store", "--from", shared_server().url, "--from-schema", schema, "--to", str(back), env=WITH_KEY)
    assert (there.returncode, again.returncode) == (0, 0), there.stderr + again.stderr
    assert there.stdout.splitlines()[:-1] == again.stdout.splitlines()[:-1]
    assert "was moved to" in refused_start(tmp_path / "other", database(schema))
    with Callhook(PUBLIC, folder=back.parent) as callhook:
        assert len(callhook.data("GET", "/calls", params={"limit": 500})["calls"]) == 500


def test_a_copy_that_differs_is_an_error_and_stays_unfinished(stock, schema, tmp_path):
    folder = stock.copy(tmp_path)
    moving = subprocess.Popen([BINARY, *command(folder, schema)], env={"PATH": os.environ["PATH"]} | WITH_KEY, stdout=subprocess.DEVNULL)
    wait_until(lambda: rows(schema) > 1_000)
    moving.kill()
    moving.wait()
    shared_server().sql(f"UPDATE {schema}.calls SET duration_seconds = duration_seconds + 1 WHERE id = (SELECT id FROM {schema}.calls ORDER BY id LIMIT 1)")
    moved = migrate(folder, schema)
    assert moved.returncode == 1 and "in the table calls" in moved.stderr
    assert [line.split()[0] for line in moved.stdout.splitlines() if "differs" in line] == ["calls"]
    assert "unfinished copy" in refused_start(tmp_path / "other", database(schema))
    # The way out that the sentence names.
    assert run("resume", "--data-dir", str(folder), env=WITH_KEY).returncode == 0
    assert "unfinished copy" in one_sentence(migrate(folder, schema))
    shared_server().sql(f"DROP SCHEMA {schema} CASCADE")
    assert migrate(folder, schema).returncode == 0


def test_what_cannot_be_moved_is_refused_in_one_sentence_and_left_as_it_was(stock, schema, tmp_path):
    folder = stock.copy(tmp_path)
    wrong = {"CALLHOOK_SECRET_KEY": "another secret key, of more than thirty-two characters"}
    assert "does not open" in one_sentence(migrate(folder, schema, wrong))
    assert "--secret-key-file" in one_sentence(migrate(folder, schema, {}))
    assert "no store lies in" in one_sentence(migrate(tmp_path / "nowhere", schema))
    assert not (tmp_path / "nowhere").exists()
    assert "the same" in one_sentence(run("migrate-store", "--from", str(folder), "--to", str(folder), env=WITH_KEY))
    assert "postgres://" in one_sentence(run("migrate-store", "--from", "mysql://me:hush-hush@db/x", "--to", str(folder), env=WITH_KEY))
    assert shared_server().sql(f"SELECT count(*) FROM pg_namespace WHERE nspname = '{schema}'").strip() == "0"

    (tmp_path / "link").symlink_to(folder)
    assert "are the same" in one_sentence(run("migrate-store", "--from", str(folder), "--to", str(tmp_path / "link"), env=WITH_KEY))

    (tmp_path / "other").mkdir()
    with Callhook(folder=tmp_path / "other", environment=database(schema)) as other:
        used = one_sentence(migrate(folder, schema))
        assert "(--to) is in use by another callhook" in used and "--database-schema" not in used
        there = one_sentence(run("migrate-store", "--from", shared_server().url, "--from-schema", schema, "--to", str(tmp_path / "new"), env=WITH_KEY))
        assert "(--from) is in use by another callhook" in there and not (tmp_path / "new").exists()
        assert other.stop() == 0
    assert "holds a store already" in one_sentence(migrate(folder, schema))
    with Callhook(PUBLIC, "--ai-fallback=24h", folder=tmp_path) as callhook:
        used = one_sentence(migrate(folder, f"{schema}_2"))
        assert "(--from) is in use by another callhook" in used and "--data-dir" not in used
        assert callhook.stop() == 0
    assert shared_server().sql(f"SELECT count(*) FROM pg_namespace WHERE nspname = '{schema}_2'").strip() == "0"
    with Callhook(PUBLIC, "--ai-fallback=24h", folder=tmp_path):
        pass  # No refusal has left a mark.


def test_a_database_under_another_name_is_the_same(stock, schema, tmp_path):
    assert migrate(stock.copy(tmp_path), schema).returncode == 0
    words = [shared_server().url, shared_server().url.replace("127.0.0.1", "localhost")]
    same = run("migrate-store", "--from", words[0], "--from-schema", schema, "--to", words[1], "--to-schema", schema, env=WITH_KEY)
    assert "are the same" in one_sentence(same)
    with Callhook(PUBLIC, "--ai-fallback=24h", folder=tmp_path, environment=database(schema)):
        pass


def test_a_move_that_did_not_end_goes_on_to_its_own_target_alone(stock, schema, tmp_path):
    folder = stock.copy(tmp_path)
    moving = subprocess.Popen([BINARY, *command(folder, schema)], env={"PATH": os.environ["PATH"]} | WITH_KEY, stdout=subprocess.DEVNULL)
    wait_until(lambda: rows(schema) > 100)
    moving.kill()
    moving.wait()
    for other in (["--to", shared_server().url, "--to-schema", f"{schema}_2"], ["--to", str(tmp_path / "elsewhere")]):
        sentence = one_sentence(run("migrate-store", "--from", str(folder), *other, env=WITH_KEY))
        assert f"schema {schema} already, or is on its way there" in sentence and "callhook resume" in sentence
    assert shared_server().sql(f"SELECT count(*) FROM pg_namespace WHERE nspname = '{schema}_2'").strip() == "0"
    assert not (tmp_path / "elsewhere").exists()
    assert migrate(folder, schema).returncode == 0


def test_a_store_that_was_moved_can_be_taken_back(stock, schema, tmp_path):
    folder = stock.copy(tmp_path)
    assert migrate(folder, schema).returncode == 0
    assert "callhook resume" in refused_start(folder)
    assert "callhook resume" in one_sentence(run("businesses", "list", "--data-dir", str(folder), env=WITH_KEY))
    assert "Sending goes on" in run("resume", "--data-dir", str(folder), env=WITH_KEY).stdout
    with Callhook(PUBLIC, "--ai-fallback=24h", folder=tmp_path):
        pass
