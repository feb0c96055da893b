"""The command line: what it prints, what it refuses, and the first start."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import requests

from harness import BINARY, SECRET_KEY, Callhook, free_port, wait_until


def answers(port: int, path: str = "/healthz", **options) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}{path}", timeout=5, **options).ok
    except requests.ConnectionError:
        return False


def run(*arguments: str, env: dict | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [BINARY, *arguments], env={"PATH": os.environ["PATH"]} | (env or {}), cwd=cwd, capture_output=True, text=True, timeout=30,
    )


def one_sentence(result: subprocess.CompletedProcess) -> str:
    assert result.returncode != 0
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    return result.stderr


def test_the_first_start_makes_one_key_and_keeps_it_private(tmp_path):
    port = free_port()
    command = [BINARY, "serve", "--listen", f"127.0.0.1:{port}"]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        key_file = tmp_path / "callhook-data" / "first-api-key"
        wait_until(lambda: key_file.exists() and key_file.read_text().strip(), 15, "the key's file")
        assert key_file.stat().st_mode & 0o777 == 0o600
        key = key_file.read_text().strip()
        assert re.fullmatch(r"ch_key_[A-Za-z0-9_-]{43}", key)
        headers = {"Authorization": f"Bearer {key}"}
        wait_until(lambda: answers(port, "/api/v1/calls", headers=headers))
        assert (tmp_path / "callhook-data" / "secret.key").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "callhook-data").stat().st_mode & 0o777 == 0o700, "made by whoever comes first, for its owner alone"
    finally:
        server.terminate()
        output = server.communicate(timeout=20)[0]
    assert key not in output, "the output is no terminal"
    assert "first-api-key" in output
    again = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_until(lambda: answers(port))
    again.terminate()
    assert "first-api-key" not in again.communicate(timeout=20)[0]


@pytest.mark.parametrize("running", [True, False], ids=["beside a server", "alone"])
def test_businesses_and_keys_are_made_whether_or_not_a_server_runs(running):
    with Callhook() as callhook:
        data = str(callhook.folder / "data")
        if not running:
            assert callhook.stop() == 0

        def cli(*arguments):
            return run(*arguments, "--data-dir", data, env={"CALLHOOK_SECRET_KEY": SECRET_KEY} | callhook.environment)

        assert cli("businesses", "create", "Client A", "--default-country", "DE").returncode == 0
        assert "Client A" in cli("businesses", "list").stdout
        assert "already" in one_sentence(cli("businesses", "create", "Client A"))
        assert cli("businesses", "rename", "Client A", "Client B").returncode == 0
        key = cli("keys", "create", "--business", "Client B", "--role", "admin").stdout.strip()
        listed = cli("keys", "list", "--business", "Client B").stdout
        assert key[:15] in listed and key not in listed
        if not running:
            callhook.restart()
        headers = {"Authorization": f"Bearer {key}"}
        body = {"status": "completed", "caller_number": "030 901820", "tracking_number": "030 1234567"}
        call = requests.post(f"{callhook.base}/api/v1/calls", json=body, headers=headers, timeout=10).json()["data"]["call"]
        assert call["caller_number"] == "+4930901820"
        assert cli("keys", "revoke", listed.split()[0], "--business", "Client B").returncode == 0
        assert requests.get(f"{callhook.base}/api/v1/calls", headers=headers, timeout=10).status_code == 401
        assert "no business" in one_sentence(cli("keys", "list", "--business", "Nobody"))


def test_each_start_makes_another_setup_link_until_there_is_a_user(tmp_path):
    port = free_port()
    link_file = tmp_path / "callhook-data" / "setup-link"

    def start() -> tuple[str, str]:
        before = link_file.read_text() if link_file.exists() else ""
        command = [BINARY, "serve", "--listen", f"127.0.0.1:{port}", "--public-url", "https://calls.example.com/"]
        server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            wait_until(lambda: answers(port))
            link = link_file.read_text().strip()
        finally:
            server.terminate()
            output = server.communicate(timeout=20)[0]
        assert link != before.strip() and link not in output and "setup-link" in output
        return link, output

    first, _ = start()
    assert re.fullmatch(r"https://calls\.example\.com/setup/[A-Za-z0-9_-]{43}", first)
    assert link_file.stat().st_mode & 0o777 == 0o600
    assert start()[0] != first


@pytest.mark.parametrize("running", [True, False], ids=["beside a server", "alone"])
def test_people_are_invited_whether_or_not_a_server_runs(running):
    with Callhook() as callhook:
        data = str(callhook.folder / "data")
        if not running:
            assert callhook.stop() == 0

        def cli(*arguments):
            return run("users", *arguments, "--data-dir", data, env={"CALLHOOK_SECRET_KEY": SECRET_KEY} | callhook.environment)

        base = callhook.base if running else "https://calls.example.com"
        own = [] if running else ["--public-url", base]
        made = [cli("add", "--email", "Bob@example.com", "--role", "admin", *own) for _ in range(2)]
        links = [result.stdout.strip() for result in made]
        assert all(re.fullmatch(re.escape(base) + r"/invitation/[A-Za-z0-9_-]{43}", link) for link in links), made
        assert links[0] != links[1]
        listed = cli("list")
        assert listed.returncode == 0 and listed.stdout == "", "who is invited is no user yet"
        assert "no business" in one_sentence(cli("add", "--email", "bob@example.com", "--business", "Nobody"))
        assert "--email" in one_sentence(cli("add", "--email", "bob"))
        assert "--role" in one_sentence(cli("add", "--email", "bob@example.com", "--role", "owner"))
        assert "users list" in one_sentence(cli("reset", "bob@example.com"))


@pytest.mark.parametrize("arguments, part", [
    (["--secret-key=short"], "at least 32"), (["--secret-key-file=/nonexistent"], "cannot read"),
    (["--public-url=ftp://x"], "--public-url"), (["--retry-delays=1500ms"], "--retry-delays"),
    (["--config=/nonexistent.toml"], "cannot read"), (["--bootstrap-api-key=secret"], "--bootstrap-api-key"),
    (["--listen=192.0.2.1:1"], "listen"), (["--log-level=warning"], "--log-level"),
])
def test_a_setting_that_cannot_be_used_stops_the_start_in_one_sentence(tmp_path, arguments, part):
    assert part in one_sentence(run("serve", f"--data-dir={tmp_path}/data", *arguments, cwd=tmp_path))


def test_flag_variable_and_file_have_one_name_and_this_precedence(tmp_path):
    ports = [free_port() for _ in range(3)]
    (tmp_path / "callhook.toml").write_text(f'listen = "127.0.0.1:{ports[0]}"\nlog_format = "json"\n')

    def listens(port, *flags, env=None):
        command = [BINARY, "serve", "--data-dir", str(tmp_path / "data"), "--config", "callhook.toml", *flags]
        server = subprocess.Popen(command, cwd=tmp_path, env=env or {}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            wait_until(lambda: answers(port))
        finally:
            server.terminate()
            server.communicate(timeout=20)

    listens(ports[0])
    listens(ports[1], env={"CALLHOOK_LISTEN": f"127.0.0.1:{ports[1]}"})
    listens(ports[2], f"--listen=127.0.0.1:{ports[2]}", env={"CALLHOOK_LISTEN": f"127.0.0.1:{ports[1]}"})
    (tmp_path / "wrong.toml").write_text("listn = 1\n")
    assert "listn" in one_sentence(run("serve", "--config", "wrong.toml", cwd=tmp_path))


def test_another_secret_key_is_refused():
    with Callhook() as callhook:
        assert callhook.stop() == 0
        result = run(
            "serve", "--data-dir", str(callhook.folder / "data"), env={"CALLHOOK_SECRET_KEY": "x" * 40} | callhook.environment,
        )
        assert "secret key" in one_sentence(result)


def test_a_command_makes_no_store_where_none_is(tmp_path):
    assert "no store" in one_sentence(run("keys", "list", "--data-dir", str(tmp_path / "typo")))
    assert not (tmp_path / "typo").exists()


def test_an_interrupted_demo_takes_its_folder_with_it(tmp_path):
    demo = subprocess.Popen([BINARY, "demo"], env={"TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: list(tmp_path.iterdir()))
    demo.terminate()
    demo.communicate(timeout=20)
    assert list(tmp_path.iterdir()) == []


def test_completions_and_openapi_are_printed():
    for shell in ("bash", "zsh", "fish"):
        assert "callhook" in run("completions", shell).stdout
    assert '"openapi": "3.1' in run("openapi").stdout.replace('"openapi":"3.1', '"openapi": "3.1')


@pytest.mark.parametrize("level", ["info", "debug", "trace", "info,tokio_postgres::query=trace"])
def test_no_secret_and_at_info_no_callers_number_is_in_the_log(receiver, level):
    with Callhook(f"--log-level={level}") as callhook:
        receiver.answer = lambda received: (500, {}, b"")
        flow = callhook.flow(receiver.base + "/hush-path", headers={"X-Token": "hush-header"}, retry_delays_seconds=[])
        callhook.report(flow, transcription="hush-transcript")
        callhook.data("POST", "/sources", {"kind": "twilio", "name": "x", "auth_token": "hush-auth-token"}, 201)
        callhook.settled(1)
        callhook.stop()
        log = callhook.log_text()
        assert log
        for secret in ("hush", "ch_key_k", SECRET_KEY, "whsec_", *(["+13055559876"] if level == "info" else [])):
            assert secret not in log, secret
