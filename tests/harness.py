"""The built binary as a user runs it, and a receiver that does what a test tells it to."""

import json
import os
import queue
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

import postgres

ROOT = Path(__file__).resolve().parent.parent
# Made absolute: some tests run it from a folder of their own.
BINARY = str(Path(os.environ.get("CALLHOOK_BINARY") or ROOT / "target/release/callhook").resolve())
# What the servers keep their stores in: `sqlite` or `postgres`.
STORE = os.environ.get("CALLHOOK_TEST_STORE", "sqlite")
KEY = "ch_key_" + "k" * 43
SECRET_KEY = "a secret key for tests, of more than thirty-two characters"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds: float = 15, what: str = "the condition"):
    """Waits for something that is bound to happen, and fails loudly if it does not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true within {seconds} s")


class Callhook:
    """A server on a folder of its own."""

    def __init__(
        self, *flags: str, folder: Path | None = None, allow: tuple[str, ...] = ("127.0.0.0/8",), wait: bool = True,
        binary: str = BINARY, environment: dict[str, str] | None = None, wrapper: tuple[str, ...] = (),
    ):
        # What is run, and what runs it: `wrapper` comes before the command and must become the process that it starts.
        self.binary, self.wrapper = binary, wrapper
        self.folder = folder or Path(tempfile.mkdtemp(prefix="callhook-test-"))
        self.owns_folder = folder is None
        self.environment = (postgres.environment(self.folder) if STORE == "postgres" else {}) | (environment or {})
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.flags = [*flags, *(f"--allow-network={network}" for network in allow)]
        self.log_path = self.folder / "log.txt"
        self.process: subprocess.Popen | None = None
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {KEY}"
        self.start(wait=wait)

    def start(self, wait: bool = True):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CALLHOOK_")}
        environment |= {"CALLHOOK_SECRET_KEY": SECRET_KEY, "CALLHOOK_BOOTSTRAP_API_KEY": KEY} | self.environment
        command = [*self.wrapper, self.binary, "serve", "--data-dir", str(self.folder / "data"), "--listen", f"127.0.0.1:{self.port}", *self.flags]
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=subprocess.STDOUT)
        if wait:
            self.wait_ready()

    def wait_ready(self):
        def ready():
            assert self.process.poll() is None, f"callhook ended: {self.log_path.read_text()}"
            try:
                return requests.get(f"{self.base}/readyz", timeout=2).status_code == 200
            except (requests.ConnectionError, requests.Timeout):
                return False

        wait_until(ready, 20, "readiness")

    def kill(self):
        """SIGKILL: what a crash leaves behind."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = 20) -> int:
        """SIGTERM: a graceful stop. Answers the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def restart(self):
        self.start()

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        self.session.close()
        self.log.close()
        if self.owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def call(self, method: str, path: str, body=None, expect: int | None = None, **options) -> requests.Response:
        response = self.session.request(method, f"{self.base}/api/v1{path}", json=body, timeout=30, **options)
        if expect is not None:
            assert response.status_code == expect, f"{method} {path}: {response.status_code} {response.text}"
        return response

    def data(self, method: str, path: str, body=None, expect: int = 200, **options):
        return self.call(method, path, body, expect, **options).json()["data"]

    def flow(self, url: str | None = None, **webhook) -> dict:
        hook = {"enabled": True, "url": url, **webhook} if url else None
        body = {"name": "Google Ads"} | ({"post_call_webhook": hook} if hook else {})
        return self.data("POST", "/call-flows", body, 201)["call_flow"]

    def report(self, flow: dict | None = None, expect: int = 201, **fields) -> dict:
        body = {"status": "completed", "caller_number": "+13055559876", "duration_seconds": 145}
        if flow:
            body["call_flow_id"] = flow["id"]
        return self.data("POST", "/calls", body | fields, expect)["call"]

    def deliveries(self, **filters) -> list[dict]:
        return self.data("GET", "/webhook-deliveries", params=filters)["webhook_deliveries"]

    def delivery(self, delivery_id: str) -> dict:
        return self.data("GET", f"/webhook-deliveries/{delivery_id}")["webhook_delivery"]

    def settled(self, count: int, seconds: float = 20, **filters) -> list[dict]:
        """Waits until so many deliveries have ended, and none is pending."""

        def ended():
            found = self.deliveries(limit=500, **filters)
            pending = [delivery for delivery in found if delivery["status"] in ("scheduled", "waiting_for_ai")]
            return found if len(found) >= count and not pending else None

        return wait_until(ended, seconds, f"the end of {count} deliveries")

    def sql(self, *statements: str):
        """Changes what is stored, behind its back."""
        if STORE == "postgres":
            url, schema = self.environment["CALLHOOK_DATABASE_URL"], self.environment["CALLHOOK_DATABASE_SCHEMA"]
            postgres.of_url(url).sql("; ".join([f"SET search_path TO {schema}", *statements]))
            return
        with closing(sqlite3.connect(self.folder / "data/callhook.db", timeout=30)) as store, store:
            for statement in statements:
                store.execute(statement)

    def log_text(self) -> str:
        return self.log_path.read_text()


@dataclass
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)
    # The receiver's `generation` when the connection was taken up.
    generation: int = 0

    @property
    def json(self) -> dict:
        return json.loads(self.body)


class Receiver:
    """An endpoint on loopback. `answer` gets each request and gives (status, headers, body), or None to answer nothing."""

    def __init__(self, answer=None):
        self.requests: list[Received] = []
        # Counted up by a test that has to know which life of a server sent what.
        self.generation = 0
        self.arrived: queue.Queue[Received] = queue.Queue()
        self.answer = answer or (lambda received: (200, {}, b"ok"))
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                self.generation = receiver.generation
                super().setup()

            def handle_any(self):
                length = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                received = Received(self.command, self.path, headers, self.rfile.read(length), generation=self.generation)
                receiver.requests.append(received)
                receiver.arrived.put(received)
                answer = receiver.answer(received)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = handle_any

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, *_):
                pass  # the other side was killed in the middle

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.base = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self, seconds: float = 15) -> Received:
        return self.arrived.get(timeout=seconds)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
