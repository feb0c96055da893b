"""`callhook tail`: what is shown, and how it ends."""

import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from harness import BINARY, KEY, Callhook, wait_until
from test_cli import one_sentence, run


class Tail:
    """A running `callhook tail`, its lines as they come."""

    def __init__(self, url: str, *flags: str, env: dict | None = None):
        environment = {"PATH": os.environ["PATH"], "CALLHOOK_API_KEY": KEY, "CALLHOOK_URL": url} | (env or {})
        self.process = subprocess.Popen(
            [BINARY, "tail", *flags], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.remarks: queue.Queue[str] = queue.Queue()
        for stream, lines in ((self.process.stdout, self.lines), (self.process.stderr, self.remarks)):
            threading.Thread(target=lambda stream=stream, lines=lines: [lines.put(line) for line in stream], daemon=True).start()
        self.remark("listening to")

    def remark(self, part: str):
        while part not in (line := self.remarks.get(timeout=30)):
            pass
        return line

    def next(self) -> str:
        return self.lines.get(timeout=20)

    def until(self, **expected) -> dict:
        """The next change that is so."""
        while True:
            change = json.loads(self.next())
            if all(change[name] == value for name, value in expected.items()):
                return change

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def test_each_change_is_a_line_with_attempt_status_duration_and_error_in_words(receiver):
    answers = iter([503, 200])
    receiver.answer = lambda received: (next(answers), {}, b"")
    with Callhook("--retry-delays=1s") as callhook, Tail(callhook.base) as people, Tail(callhook.base, "--json") as machines:
        flow = callhook.flow(receiver.base)
        call = callhook.report(flow)
        planned, failed, delivered = (people.next() for _ in range(3))
        assert "scheduled" in planned and "call.completed" in planned and "Google Ads" in planned
        assert "attempt 1 503 in " in failed and "refuses work (503)" in failed and "next 20" in failed
        assert "delivered" in delivered and "attempt 2 200 in " in delivered
        change = machines.until(status="scheduled", attempt_count=1)
        assert change["call_id"] == call["id"] and change["call_flow_id"] == flow["id"] and change["error"] == "http_503"
        assert change["status_code"] == 503 and change["duration_ms"] >= 0 and "refuses work" in change["error_detail"]
        assert machines.until(status="delivered")["attempt_count"] == 2
        people.process.send_signal(signal.SIGINT)
        assert people.process.wait(10) == 0


def test_filters_hold_together(receiver):
    receiver.answer = lambda received: (200 if received.path == "/well" else 404, {}, b"")
    with Callhook("--retry-delays=1s") as callhook:
        well, ill = callhook.flow(receiver.base + "/well"), callhook.flow(receiver.base + "/ill")
        flags = ("--json", "--status=delivered,failed", "--event=call.missed", "--error=http_404", f"--call-flow={ill['id']}")
        with Tail(callhook.base, "--json", "--status=delivered") as delivered, Tail(callhook.base, *flags) as missed:
            callhook.report(ill)
            callhook.report(ill, status="no-answer", duration_seconds=0)
            callhook.report(well, status="no-answer", duration_seconds=0)
            callhook.settled(3)
            first = json.loads(missed.next())
            assert (first["event"], first["status"], first["error"]) == ("call.missed", "failed", "http_404")
            assert json.loads(delivered.next())["call_flow_id"] == well["id"]
            last = callhook.report(well)
            assert json.loads(delivered.next())["call_id"] == last["id"]
            last = callhook.report(ill, status="no-answer", duration_seconds=0)
            assert json.loads(missed.next())["call_id"] == last["id"], "nothing else came before it"


def test_it_comes_back_with_the_server_and_shows_what_came_meanwhile_once(receiver):
    with Callhook() as callhook, Tail(callhook.base, "--json", "--status=delivered") as tail:
        flow = callhook.flow(receiver.base)
        calls = [callhook.report(flow)["id"]]
        assert tail.until()["call_id"] == calls[0]
        callhook.kill()
        tail.remark("is lost")
        callhook.restart()
        calls.append(callhook.report(flow)["id"])
        tail.remark("is back")
        assert tail.until()["call_id"] == calls[1]
        callhook.settled(2)
        calls.append(callhook.report(flow)["id"])
        assert tail.until()["call_id"] == calls[2]
        last = callhook.report(flow)["id"]
        assert json.loads(tail.next())["call_id"] == last, "nothing was shown a second time"


def test_what_a_slow_reader_missed_is_read_from_the_list_and_shown_once(receiver):
    attempt = {"attempt": 1, "started_at": "2026-03-30T14:00:00.000Z", "duration_ms": 20, "status_code": 200, "error": None}
    row = {"id": "d", "call_flow_id": "f", "event": "call.completed", "status": "delivered", "attempt_count": 1, "test": False}

    def answer(received):
        if received.path.endswith("/events"):
            return 200, {"Content-Type": "text/event-stream"}, b": alive\n\nevent: lagged\ndata: {}\n\n"
        if "since=" in received.path:
            data = {"webhook_deliveries": [row], "next_cursor": None}
        else:
            data = {"webhook_delivery": row | {"attempts": [attempt], "payload": None}}
        return 200, {}, json.dumps({"data": data}).encode()

    receiver.answer = answer
    with Tail(receiver.base, "--json") as tail:
        change = tail.until(delivery_id="d")
        assert (change["status"], change["status_code"], change["at"]) == ("delivered", 200, "2026-03-30T14:00:00Z")
        wait_until(lambda: sum("since=" in request.path for request in receiver.requests) > 3)
        assert tail.lines.empty()
    assert {request.headers["authorization"] for request in receiver.requests} == {f"Bearer {KEY}"}


def test_it_ends_when_nobody_reads_it(receiver):
    with Callhook() as callhook:
        flow = callhook.flow(receiver.base)
        environment = {"PATH": os.environ["PATH"], "CALLHOOK_API_KEY": KEY}
        tail = subprocess.Popen([BINARY, "tail", "--url", callhook.base], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert b"listening" in tail.stderr.readline()
        callhook.report(flow)
        assert tail.stdout.readline()
        tail.stdout.close()

        def ended():
            callhook.report(flow)
            return tail.poll() is not None

        wait_until(ended)
        assert tail.returncode == 0
        assert tail.stderr.read() == b""


@pytest.mark.parametrize("flags, part", [
    (["--api-key=ch_key_" + "x" * 43], "refuses the key"), (["--status=sent"], "--status is wrong"), (["--call-flow=7"], "--call-flow"),
    (["--url=ftp://x"], "--url is wrong"), (["--api-key-file=/nonexistent"], "cannot read the secret"), ([], "API key is needed"),
])
def test_what_can_never_be_shown_is_said_in_one_sentence(shared, flags, part):
    url = [] if any(flag.startswith("--url") for flag in flags) else ["--url", shared.base]
    key = [] if not flags or any(flag.startswith("--api-key") for flag in flags) else ["--api-key", KEY]
    assert part in one_sentence(run("tail", *url, *key, *flags))


def test_another_server_is_not_taken_for_callhook(receiver):
    receiver.answer = lambda received: (404, {}, b"")
    assert "no callhook" in one_sentence(run("tail", "--url", receiver.base, "--api-key", KEY))


def forward(source: socket.socket, target: socket.socket):
    try:
        while data := source.recv(65_536):
            target.sendall(data)
    except OSError:
        pass  # the other side has ended


def test_it_speaks_https(tmp_path, receiver):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run([
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate,
        "-subj", "/CN=localhost", "-days", "2", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
    ], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Callhook() as callhook, socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            while True:
                try:
                    outside = context.wrap_socket(listener.accept()[0], server_side=True)
                except OSError:
                    return
                inside = socket.create_connection(("127.0.0.1", callhook.port))
                for pair in ((outside, inside), (inside, outside)):
                    threading.Thread(target=forward, args=pair, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        url = f"https://localhost:{listener.getsockname()[1]}"
        with Tail(url, "--json", env={"SSL_CERT_FILE": str(certificate)}) as tail:
            call = callhook.report(callhook.flow(receiver.base))
            assert tail.until(status="delivered")["call_id"] == call["id"]
