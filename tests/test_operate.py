"""What an operator does: back up, restore, let sending go on, ask after health, and find out what is wrong."""

import hashlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import requests

import postgres
from harness import SECRET_KEY, STORE, Callhook, Receiver, wait_until
from test_cli import one_sentence, run

# What copies, restores and damages the store's file.
embedded = pytest.mark.embedded

WITH_KEY = {"CALLHOOK_SECRET_KEY": SECRET_KEY}


@pytest.fixture(scope="module")
def backup(tmp_path_factory) -> Path:
    """A backup of three calls: one delivered, one without a flow, one whose next attempt is long due."""
    file = tmp_path_factory.mktemp("backup") / "callhook.backup"
    with Receiver() as receiver, Callhook("--retry-delays=1s") as callhook:
        flow = callhook.flow(receiver.base + "/well")
        callhook.report(flow)
        callhook.report(tracking_number="+15735551234")
        callhook.settled(1)
        receiver.answer = lambda received: (503, {}, b"")
        callhook.report(flow)
        due = wait_until(lambda: callhook.deliveries(status="scheduled", error="http_503"))[0]["next_attempt_at"]
        callhook.kill()
        wait_until(lambda: datetime.now(timezone.utc) > datetime.fromisoformat(due) + timedelta(seconds=1))
        result = run("backup", str(file), "--data-dir", str(callhook.folder / "data"), env=WITH_KEY)
        assert result.returncode == 0, result.stderr
        assert "3 calls and 2 deliveries" in result.stdout and "opens with the secret key" in result.stdout
    return file


def counts(file: Path) -> tuple[int, int]:
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return tuple(store.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("calls", "deliveries"))


@embedded
def test_a_backup_beside_a_working_server_holds_all_that_was_acknowledged_and_stops_nobody(tmp_path, receiver):
    file = tmp_path / "copy"
    acknowledged, ends = [], threading.Event()
    with Callhook() as callhook:
        flow = callhook.flow(receiver.base)

        def report():
            while not ends.is_set():
                acknowledged.append(callhook.report(flow, transcription="x" * 5_000)["id"])

        reporter = threading.Thread(target=report)
        reporter.start()
        wait_until(lambda: len(acknowledged) > 50)
        before = set(acknowledged)
        result = run("backup", "copy", "--data-dir", str(callhook.folder / "data"), env=WITH_KEY, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        after = len(acknowledged)
        wait_until(lambda: len(acknowledged) > after, what="another call is taken after the backup")
        ends.set()
        reporter.join()
        calls, deliveries = counts(file)
        assert f"{calls} calls and {deliveries} deliveries" in result.stdout
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as store:
            kept = {bytes(row[0]).hex() for row in store.execute("SELECT id FROM calls")}
        assert {call.replace("-", "") for call in before} <= kept
        assert file.stat().st_mode & 0o777 == 0o600
        assert "already" in one_sentence(run("backup", "copy", "--data-dir", str(callhook.folder / "data"), cwd=tmp_path))
        assert counts(file) == (calls, deliveries), "what is there is left alone"
    assert os.listdir(tmp_path) == ["copy"], "no draft is left"


@embedded
def test_a_backup_without_a_server_needs_no_key_but_refuses_a_wrong_one(tmp_path):
    with Callhook() as callhook:
        callhook.report(tracking_number="+15735551234")
        assert callhook.stop() == 0
        data = str(callhook.folder / "data")
        wrong = run("backup", str(tmp_path / "a"), "--data-dir", data, env={"CALLHOOK_SECRET_KEY": "x" * 40})
        assert "secret key" in one_sentence(wrong)
        assert os.listdir(tmp_path) == []
        without = run("backup", str(tmp_path / "b"), "--data-dir", data)
        assert without.returncode == 0 and "secret key, which is not in it" in without.stdout
        assert counts(tmp_path / "b") == (1, 0)
        nowhere = str(tmp_path / "nowhere" / "c")
        assert "cannot write to" in one_sentence(run("backup", nowhere, "--data-dir", data))
    assert "no store" in one_sentence(run("backup", str(tmp_path / "c"), "--data-dir", str(tmp_path)))


@embedded
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small file system")
def test_a_backup_that_does_not_fit_says_so_and_leaves_nothing(tmp_path):
    with Callhook() as callhook:
        flow = callhook.flow()
        calls = [{"call_flow_id": flow["id"], "caller_number": "+13055559876", "status": "completed"} for _ in range(500)]
        callhook.call("POST", "/calls/batch", {"calls": calls})
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", tmp_path], check=True)
        try:
            refused = run("backup", str(tmp_path / "copy"), "--data-dir", str(callhook.folder / "data"))
            assert "disk is full" in one_sentence(refused)
            assert os.listdir(tmp_path) == []
        finally:
            subprocess.run(["umount", tmp_path], check=True)


def sending_paused(callhook: Callhook) -> bool:
    answer = requests.get(f"{callhook.base}/readyz", timeout=5)
    assert answer.status_code == 200, "a paused server takes calls"
    return answer.json()["data"].get("sending_paused", False)


@embedded
@pytest.mark.parametrize("running", [True, False], ids=["beside a server", "alone"])
def test_a_restored_store_takes_calls_and_sends_nothing_until_it_is_told_to(backup, tmp_path, receiver, running):
    data = tmp_path / "data"
    restored = run("restore", str(backup), "--data-dir", str(data), env=WITH_KEY)
    assert restored.returncode == 0, restored.stderr
    assert "3 calls and 2 deliveries (1 due, 0 waiting" in restored.stdout and "callhook resume" in restored.stdout
    assert (data / "callhook.db").stat().st_mode & 0o777 == 0o600
    assert counts(backup) == (3, 2)
    with Callhook(folder=tmp_path) as callhook:
        due = callhook.deliveries(status="scheduled")[0]
        # The port of the receiver before is nobody's any more: the flow's own receiver stands in for it.
        callhook.data("PATCH", f"/call-flows/{due['call_flow_id']}", {"post_call_webhook": {"url": receiver.base}})
        callhook.report({"id": due["call_flow_id"]})
        assert sending_paused(callhook)
        assert "Sending is paused" in callhook.log_text() and "due=1" in callhook.log_text()
        callhook.stop()
        callhook.restart()
        assert sending_paused(callhook), "over a restart too"
        time.sleep(1)
        assert receiver.requests == []
        assert [delivery["attempt_count"] for delivery in callhook.deliveries(status="scheduled")] == [0, 1]
        if not running:
            callhook.stop()
        resumed = run("resume", "--data-dir", str(data), env=WITH_KEY)
        assert resumed.stdout.startswith("Sending goes on: 2 deliveries are due"), resumed.stderr
        if not running:
            callhook.restart()
        ended = callhook.settled(3)
        assert {delivery["status"] for delivery in ended} == {"delivered"}
        assert len(receiver.requests) == 2
        # The lost store may have sent it after the copy was made.
        assert callhook.delivery(due["id"])["attempts"][-1]["repeated"]
        assert not sending_paused(callhook)
        assert "not paused" in run("resume", "--data-dir", str(data), env=WITH_KEY).stdout
        callhook.stop()
        callhook.restart()
        assert not sending_paused(callhook), "once lifted, for good"


TRAILER_WORDS = b"callhook backup\n"


def end_as_a_backup(file: Path):
    """Ends the file as `callhook backup` ends what it writes."""
    body = file.read_bytes().split(TRAILER_WORDS)[0]
    file.write_bytes(body + TRAILER_WORDS + hashlib.sha256(body).digest())


def change_a_byte(file: Path):
    """One bit of a payload's text: SQLite's own check does not see it."""
    whole = file.read_bytes()
    place = whole.index(b'"event":"call.completed"') + 10
    file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])


def damage(file: Path):
    with open(file, "r+b") as opened:
        opened.seek(3 * 8_192)
        opened.write(os.urandom(2 * 8_192))


def damage_in_disguise(file: Path):
    damage(file)
    end_as_a_backup(file)


def make_newer(file: Path):
    with sqlite3.connect(file) as store:
        store.execute("PRAGMA user_version = 999")
    end_as_a_backup(file)


def make_foreign(file: Path):
    file.unlink()
    with sqlite3.connect(file) as store:
        store.execute("CREATE TABLE other (id INTEGER)")
    end_as_a_backup(file)


def make_text(file: Path):
    file.write_text("This is a text and no store.")
    end_as_a_backup(file)


@embedded
@pytest.mark.parametrize("change, part", [
    (damage, "damaged"), (change_a_byte, "damaged"), (damage_in_disguise, "damaged"), (make_newer, "newer callhook"),
    (make_foreign, "no store of callhook"), (make_text, "cannot be read as a store"),
    (lambda file: file.write_bytes(file.read_bytes()[:20_000]), "cut short"),
    (lambda file: file.write_bytes(file.read_bytes()[:-1]), "cut short"),
    (lambda file: file.write_bytes(file.read_bytes().split(TRAILER_WORDS)[0]), "`callhook backup` did not write it"),
    (lambda file: file.unlink(), "cannot read"), (lambda file: (file.unlink(), file.mkdir()), "cannot"),
], ids=["damaged", "a byte", "damaged in disguise", "newer", "foreign", "text", "cut short", "cut by a byte", "a store's file",
        "missing", "a folder"])
def test_what_is_no_whole_backup_is_not_restored(backup, tmp_path, change, part):
    file = tmp_path / "copy"
    shutil.copy(backup, file)
    change(file)
    refused = one_sentence(run("restore", str(file), "--data-dir", str(tmp_path / "data"), env=WITH_KEY))
    assert part in refused
    left = os.listdir(tmp_path / "data") if (tmp_path / "data").exists() else []
    assert left == [], "nothing is left that a server could take for a store"


@embedded
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_what_root_restores_belongs_to_the_folders_owner(backup, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 65_532, 65_532)
    assert run("restore", str(backup), "--data-dir", str(data), env=WITH_KEY).returncode == 0
    assert {name: (data / name).stat().st_uid for name in os.listdir(data)} == {"callhook.db": 65_532, "callhook.lock": 65_532}


@embedded
def test_a_folder_that_is_shared_with_others_is_left_as_it_is(backup, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    assert run("restore", str(backup), "--data-dir", str(shared), env=WITH_KEY).returncode == 0
    assert shared.stat().st_mode & 0o7777 == 0o1777
    assert {(shared / name).stat().st_mode & 0o077 for name in os.listdir(shared)} == {0}, "its files are private"
    found, _ = doctor(shared)
    check(found, "data folder", "warning", "open to everybody")


@embedded
def test_a_backup_takes_no_name_that_the_store_itself_uses(tmp_path):
    with Callhook() as callhook:
        data = callhook.folder / "data"
        for name in ("callhook.db-journal", "callhook.db-anything"):
            assert "choose another" in one_sentence(run("backup", str(data / name), "--data-dir", str(data), env=WITH_KEY))
        assert run("backup", str(tmp_path / "callhook.db-journal"), "--data-dir", str(data), env=WITH_KEY).returncode == 0


@embedded
def test_a_store_whose_file_is_gone_or_another_acknowledges_nothing(receiver):
    with Callhook() as callhook:
        flow = callhook.flow(receiver.base)
        callhook.report(flow)
        callhook.settled(1)
        data = callhook.folder / "data"
        (data / "callhook.db").rename(data / "moved")
        refused = callhook.call("POST", "/calls", {"call_flow_id": flow["id"], "caller_number": "+13055559876", "status": "completed"})
        assert refused.status_code == 503
        assert "removed or replaced" in one_sentence(run("ready", "--data-dir", str(data)))
        wait_until(lambda: requests.get(f"{callhook.base}/readyz", timeout=5).status_code == 503)
        found, _ = doctor(data)
        check(found, "store", "fault", "put it back")
        (data / "callhook.db").write_bytes((data / "moved").read_bytes())
        assert callhook.call("POST", "/calls", {"call_flow_id": flow["id"], "status": "completed"}).status_code in (422, 503)
        assert "removed or replaced" in one_sentence(run("ready", "--data-dir", str(data))), "a copy is another file"
        os.replace(data / "moved", data / "callhook.db")
        callhook.report(flow)
        callhook.settled(2)


def test_the_doctor_says_that_the_server_has_another_public_address():
    with Callhook() as callhook:
        found, _ = doctor(callhook.folder / "data", "--public-url=https://calls.example.com")
        check(found, "settings in use", "warning", "https://calls.example.com")


def test_the_doctor_says_that_a_proxy_is_taken_for_everybody():
    with Callhook("--public-url=https://calls.example.com") as callhook:
        data = callhook.folder / "data"

        def found_after_sign_in(**headers):
            answer = requests.post(f"{callhook.base}/sign-in", data={"email": "nobody@example.com", "password": "a wrong guess"}, timeout=10,
                                   headers={"Origin": "https://calls.example.com"} | headers)
            assert answer.status_code == 401
            return doctor(data)[0]

        assert "proxy" not in doctor(data)[0]
        check(found_after_sign_in(), "proxy", "warning", "have it set X-Forwarded-For")
        assert "A proxy's address is taken for everybody's" in callhook.log_text()
        assert "proxy" not in found_after_sign_in(**{"X-Forwarded-For": "198.51.100.7"}), "what is mended is not said any more"
    with Callhook() as callhook:
        requests.post(f"{callhook.base}/sign-in", data={}, headers={"Origin": callhook.base}, timeout=10)
        assert "proxy" not in doctor(callhook.folder / "data")[0], "there is none"


def test_a_second_server_is_refused_although_somebody_removed_the_lock():
    with Callhook() as callhook:
        data = callhook.folder / "data"
        # In a database it is a row.
        (data / "callhook.lock").unlink(missing_ok=STORE == "postgres")
        assert "in use" in one_sentence(run("serve", "--data-dir", str(data), "--listen", "127.0.0.1:0", env=WITH_KEY | store_of(data)))
        assert run("ready", "--data-dir", str(data)).stdout == "ready\n"


# The lock of the store's file tells.
@embedded
def test_a_server_whose_socket_is_gone_is_not_taken_for_none():
    with Callhook() as callhook:
        data = callhook.folder / "data"
        (data / "callhook.sock").unlink()
        assert "restart it" in one_sentence(run("ready", "--data-dir", str(data)))
        found, _ = doctor(data)
        check(found, "server", "fault", "restart it")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_who_may_not_look_into_the_folder_is_told_so(tmp_path):
    tmp_path.parent.chmod(0o755)
    with Callhook() as callhook:
        data = callhook.folder / "data"
        for command in (["ready"], ["keys", "list"], ["doctor"]):
            asked = subprocess.run([callhook.binary, *command, "--data-dir", str(data)], capture_output=True, text=True,
                                   user=65_534, group=65_534, extra_groups=[], cwd="/", env={})
            assert asked.returncode == 1 and "server's user" in asked.stdout + asked.stderr, (command, asked)


@embedded
def test_a_restore_takes_no_place_that_is_taken(backup, tmp_path):
    with Callhook() as callhook:
        data = str(callhook.folder / "data")
        assert "in use" in one_sentence(run("restore", str(backup), "--data-dir", data, env=WITH_KEY))
        callhook.report(tracking_number="+15735551234")
        callhook.stop()
        assert "already" in one_sentence(run("restore", str(backup), "--data-dir", data, env=WITH_KEY))
        callhook.restart()
        assert len(callhook.data("GET", "/calls")["calls"]) == 1
    wrong = run("restore", str(backup), "--data-dir", str(tmp_path / "data"), env={"CALLHOOK_SECRET_KEY": "x" * 40})
    assert "secret key" in one_sentence(wrong)
    without = run("restore", str(backup), "--data-dir", str(tmp_path / "data"))
    assert without.returncode == 0 and "secret.key" in without.stdout
    assert "secret.key is missing" in one_sentence(run("serve", "--data-dir", str(tmp_path / "data")))


def test_ready_says_whether_calls_are_taken(tmp_path):
    data = ("--data-dir", str(tmp_path / "data"))
    assert "no server" in one_sentence(run("ready", *data))
    with Callhook(folder=tmp_path) as callhook:
        assert callhook.stop() == 0
        callhook.sql("INSERT INTO meta (name, value) VALUES ('sending paused', '')")
        callhook.restart()
        assert run("ready", *data).stdout == "ready, and sends nothing until `callhook resume`\n"
        check(doctor(tmp_path / "data")[0], "sending", "warning", "callhook resume")
        assert run("resume", *data).returncode == 0
        assert run("ready", *data).stdout == "ready\n"
        callhook.kill()
        assert "no server" in one_sentence(run("ready", *data))


def store_of(folder: Path) -> dict[str, str]:
    """What tells a command where a server keeps its store that has its files there."""
    return postgres.environment(folder.parent) if STORE == "postgres" else {}


def doctor(folder: Path, *flags: str, env: dict | None = None) -> tuple[dict[str, tuple], bool]:
    """Level and text by check, and whether the exit code says that there is no fault."""
    result = run("doctor", "--json", "--data-dir", str(folder), *flags, env=WITH_KEY | store_of(folder) | (env or {}))
    checks = json.loads(result.stdout)["checks"]
    found = {finding["check"]: (finding["level"], finding["text"]) for finding in checks}
    assert len(found) == len(checks), "one line a check"
    faults = [text for level, text in found.values() if level == "fault"]
    assert (result.returncode == 0) == (not faults)
    return found, not faults


def check(found: dict[str, tuple], name: str, level: str, part: str):
    assert found[name][0] == level and part in found[name][1], found[name]


def test_the_doctor_finds_a_sound_server_sound(receiver):
    with Callhook() as callhook:
        flow = callhook.flow(receiver.base + "/secret-path?token=1")
        found, is_sound = doctor(callhook.folder / "data", "--call-flow", flow["id"], "--allow-network=127.0.0.0/8")
        assert is_sound, found
        for name in ("settings", "data folder", "disk space", "store", "secret key", "clock", "server", "call flow"):
            check(found, name, "ok", "")
        check(found, "public address", "warning", "leads to a callhook. It is this machine's own")
        assert [(request.method, request.path) for request in receiver.requests] == [("GET", "/")], "no call is sent"
        lines = run("doctor", "--data-dir", str(callhook.folder / "data"), env=WITH_KEY).stdout.splitlines()
        assert lines[0].split() == ["ok", "settings", "they", "can", "be", "used"]
        assert callhook.stop() == 0
        found, is_sound = doctor(callhook.folder / "data")
        assert is_sound
        check(found, "server", "warning", "none runs")
        check(found, "store", "ok", "0 calls")


def test_the_doctor_says_what_is_wrong_with_an_endpoint(receiver):
    allow = "--allow-network=127.0.0.0/8"
    with Callhook() as callhook, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        data = callhook.folder / "data"
        cases = [
            (callhook.flow(receiver.base), [], "fault", "--allow-network 127.0.0.0/8"),
            (callhook.flow(f"http://127.0.0.1:{silent.getsockname()[1]}/"), [allow], "fault", "connection refused"),
            (callhook.flow(receiver.base.replace("http:", "https:")), [allow], "fault", "does not speak https"),
            (callhook.flow("https://no-such-host.invalid/hook"), [], "fault", "no-such-host.invalid"),
            (callhook.flow(), [], "warning", "no webhook"),
            (callhook.flow(receiver.base, enabled=False), [], "warning", "switched off"),
            ({"id": "019d3f01-7d2c-7f11-b3a4-0e9b5a6c8d13"}, [], "fault", "there is no call flow"),
        ]
        for flow, flags, level, part in cases:
            found, _ = doctor(data, "--call-flow", flow["id"], *flags)
            check(found, "call flow", level, part)
        assert "--call-flow" in one_sentence(run("doctor", "--call-flow", "7", "--data-dir", str(data)))


def test_the_doctor_says_what_is_wrong_with_settings_folder_key_clock_and_address(tmp_path, receiver):
    data = tmp_path / "data"
    found, _ = doctor(data)
    check(found, "data folder", "warning", "not there yet")
    found, _ = doctor(data, "--retry-delays=1500ms")
    check(found, "settings", "fault", "--retry-delays")
    with Callhook(f"--public-url={receiver.base}", folder=tmp_path) as callhook:
        found, _ = doctor(data)
        check(found, "public address", "fault", "something else than callhook")
        callhook.report(tracking_number="+15735551234")
        assert callhook.stop() == 0
        callhook.sql("UPDATE calls SET reported_at = reported_at + 3600000")
    found, _ = doctor(data)
    check(found, "clock", "fault", "behind the newest call")
    found, _ = doctor(data, env={"CALLHOOK_SECRET_KEY": "x" * 40})
    check(found, "secret key", "fault", "does not open the store")
    key_file = data / "secret.key"
    key_file.write_text(SECRET_KEY)
    key_file.chmod(0o644)
    found, _ = doctor(data)
    check(found, "secret key", "warning", "chmod 600")
    key_file.write_text("short")
    without_key = run("doctor", "--json", "--data-dir", str(data), env=store_of(data))
    assert "secret.key holds no key" in without_key.stdout and without_key.returncode == 1
    key_file.unlink()
    assert "so it was not tried" in run("doctor", "--json", "--data-dir", str(data), env=store_of(data)).stdout
    data.chmod(0o755)
    found, _ = doctor(data)
    check(found, "data folder", "warning", "chmod o=")


@embedded
def test_the_doctor_says_that_the_store_is_damaged(backup, tmp_path):
    data = tmp_path / "data"
    assert run("restore", str(backup), "--data-dir", str(data), env=WITH_KEY).returncode == 0
    damage(data / "callhook.db")
    found, _ = doctor(data)
    check(found, "store", "fault", "restore an earlier backup")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small file system")
def test_the_doctor_says_that_the_disk_is_nearly_full_and_lies_in_memory(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", tmp_path], check=True)
    try:
        found, _ = doctor(tmp_path)
        check(found, "disk space", "fault", "make room")
        check(found, "data folder", "warning", "in memory")
    finally:
        subprocess.run(["umount", tmp_path], check=True)
