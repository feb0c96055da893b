"""Hostile endpoints against one callhook: all first attempts at once, then a second call to each, which must come through.

Every case has a port of its own, so that what it does to kept connections can only harm itself. In the second round the endpoint
behaves well: a connection that the first round has poisoned would show then.
"""

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from harness import Callhook, wait_until

# No attempt may last longer, in milliseconds.
DURATION_MAX_MS = 10_250
# Bytes of an answer's body that are kept.
EXCERPT_BYTES_MAX = 4_096
# Memory that all cases together may take beyond what the server had, in KiB: 64 KiB for each attempt in flight, and buffers.
GROWTH_MAX_KIB = 48 * 1_024
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"


@dataclass(frozen=True)
class Case:
    """What an endpoint does with a connection, and what has to come of the attempt; `error` None: it is delivered."""

    name: str
    behave: Callable = field(compare=False)
    error: str | None = None
    words: str = ""
    status: int | None = None
    # For what cannot be mended in the second round.
    once: bool = False


class Endpoint:
    """Takes connections on a port of its own and lets `behave` have them, until it is told to behave well."""

    def __init__(self, case: Case, wrap=None, host: str = "127.0.0.1"):
        self.case, self.wrap, self.is_good = case, wrap, False
        self.listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.converse, args=(peer,), daemon=True).start()

    def converse(self, peer: socket.socket):
        # The other side may hang up at any moment: that is its right.
        with contextlib.suppress(OSError, ValueError), peer:
            if self.is_good:
                peer = self.wrap(peer, True) if self.wrap else peer
                while read_request(peer):
                    peer.sendall(GOOD)
                return
            peer = self.wrap(peer, False) if self.wrap else peer
            self.case.behave(peer, self)

    def close(self):
        self.listener.close()


def read_request(peer) -> bytes:
    """A request's head and body; empty where the other side has closed."""
    read = b""
    while b"\r\n\r\n" not in read:
        part = peer.recv(65_536)
        if not part:
            return b""
        read += part
    head, _, body = read.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += peer.recv(65_536)
    return head + b"\r\n\r\n" + body


def peak_kib(pid: int) -> int:
    """The most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])


@dataclass
class Round:
    """What came of all cases."""

    first: dict[str, dict]
    second: dict[str, dict]
    growth_kib: int


def run(callhook: Callhook, urls: dict[str, str], mend: Callable[[], None], once: set[str]) -> Round:
    """Sends one call to each URL, then `mend`s the endpoints and sends another."""
    flows = {name: callhook.flow(url, retry_delays_seconds=[]) for name, url in urls.items()}
    before = peak_kib(callhook.process.pid)

    def send(names):
        for name in names:
            callhook.report(flows[name])

    def ended(names, count):
        found = {}
        for name in names:
            mine = callhook.deliveries(call_flow_id=flows[name]["id"])
            if len(mine) < count or any(delivery["status"] == "scheduled" for delivery in mine):
                return None
            found[name] = mine[0]["id"]
        return found

    send(urls)
    first = wait_until(lambda: ended(urls, 1), 40, "the end of every first attempt")
    growth = peak_kib(callhook.process.pid) - before
    mend()
    again = [name for name in urls if name not in once]
    send(again)
    second = wait_until(lambda: ended(again, 2), 40, "the end of every second delivery")
    details = lambda ids: {name: callhook.delivery(delivery) for name, delivery in ids.items()}
    return Round(details(first), details(second), growth)


def judge(case: Case, outcome: Round, note):
    """One case: its end, its time, its words, its bounds, and what the next delivery met."""
    delivery = outcome.first[case.name]
    [attempt] = delivery["attempts"]
    note(f"{attempt['duration_ms'] / 1000:.2f} s, {attempt['error'] or 'delivered'}")
    told = f"{delivery['status']}: {attempt['error']}: {attempt['error_detail']}"
    assert attempt["error"] == case.error, told
    assert delivery["status"] == ("failed" if case.error else "delivered"), told
    assert case.words in (attempt["error_detail"] or ""), told
    assert attempt["duration_ms"] <= DURATION_MAX_MS, told
    if case.status:
        assert attempt["status_code"] == case.status, told
    assert len((attempt["response_excerpt"] or "").encode()) <= EXCERPT_BYTES_MAX
    if not case.once:
        assert outcome.second[case.name]["status"] == "delivered", outcome.second[case.name]
