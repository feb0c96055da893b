"""Names that lead nowhere, astray, somewhere else each time, or there at last: against a name server of the test's own.

The server under test reads `/etc/resolv.conf`. It gets one of its own by a mount that only its process sees.
"""

import contextlib
import shlex
import shutil
import socket
import stat
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dnslib import AAAA, CNAME, QTYPE, RCODE, RR, A, DNSRecord

from faults.arena import DURATION_MAX_MS
from harness import BINARY, Callhook, Receiver, wait_until

pytestmark = pytest.mark.long

# Of this network nobody else makes use, and a process may bind any address of it.
SERVER = "127.53.53.53"
LOOPBACK = "127.0.0.1"
# What a name server sends by UDP at the most: more is asked for over TCP.
DATAGRAM_BYTES_MAX = 1_232
# Names of which the server says nothing, asked for at the same time.
SILENT_NAMES = 60
# Nothing listens there.
DEAD = "127.0.0.9"


@dataclass
class NameServer:
    """Answers each name by its first label, over UDP and TCP; counts the questions of each."""

    asked: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((SERVER, 53))
        self.tcp = socket.create_server((SERVER, 53))
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def serve_udp(self):
        while True:
            try:
                data, sender = self.udp.recvfrom(4_096)
            except OSError:
                return
            threading.Thread(target=self.answer_udp, args=(data, sender), daemon=True).start()

    def answer_udp(self, data, sender):
        for answer in self.answers(data, is_tcp=False):
            with contextlib.suppress(OSError):  # a late answer may find the server closed
                self.udp.sendto(answer, sender)

    def serve_tcp(self):
        while True:
            try:
                peer, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.converse, args=(peer,), daemon=True).start()

    def converse(self, peer):
        with peer, contextlib.suppress(OSError):
            while length := peer.recv(2):
                question = peer.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL)
                # One that is answered late holds up no other, as with real servers.
                threading.Thread(target=self.answer_tcp, args=(question, peer), daemon=True).start()

    def answer_tcp(self, question, peer):
        for answer in self.answers(question, is_tcp=True):
            with contextlib.suppress(OSError):
                peer.sendall(len(answer).to_bytes(2, "big") + answer)

    def answers(self, data: bytes, is_tcp: bool) -> list[bytes]:
        request = DNSRecord.parse(data)
        name, kind = str(request.q.qname), QTYPE[request.q.qtype]
        label = name.split(".")[0].lower()
        self.asked.setdefault(label, []).append(f"{kind}/{'tcp' if is_tcp else 'udp'}")
        reply = request.reply()

        def give(*addresses, ttl=60, owner=name):
            for address in addresses:
                is_wanted = kind == ("AAAA" if ":" in address else "A")
                if is_wanted:
                    reply.add_answer(RR(owner, request.q.qtype, rdata=(AAAA if ":" in address else A)(address), ttl=ttl))

        def alias(owner, target):
            reply.add_answer(RR(owner, QTYPE.CNAME, rdata=CNAME(target), ttl=60))

        times = sum(asked.startswith(f"{kind}/") for asked in self.asked[label])
        match label:
            case _ if label.startswith("silent"):
                return []
            case "unknown":
                reply.header.rcode = RCODE.NXDOMAIN
            case "broken":
                reply.header.rcode = RCODE.SERVFAIL
            case "refused":
                reply.header.rcode = RCODE.REFUSED
            case "empty" | "deadend":
                pass
            case "plain" | "xn--bcher-kva" | "lapsing":
                give(LOOPBACK, ttl=0 if label == "lapsing" else 60)
            case "moving":
                give(DEAD if times == 1 else LOOPBACK, ttl=0)
            case "rebinding":
                give(LOOPBACK if times == 1 else "10.0.0.1", ttl=0)
            case "second":
                give(DEAD, LOOPBACK)
            case "many":
                give(*[f"127.0.1.{number}" for number in range(1, 100)])
            case "ipv6":
                give("::1")
            case "chain":
                for step in range(5):
                    alias(name if step == 0 else f"step{step}.test.", f"step{step + 1}.test.")
                give(LOOPBACK, owner="step5.test.")
            case "loop":
                alias(name, "loop2.test.")
                alias("loop2.test.", name)
            case "loop2":
                alias(name, "loop.test.")
                alias("loop.test.", name)
            case "truncated":
                give(LOOPBACK)
                if not is_tcp:
                    reply.rr.clear()
                    reply.header.tc = 1
            case "malformed":
                return [data[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + b"\xff" * 40]
            case "late":
                time.sleep(12)
                give(LOOPBACK)
            case "slow":
                time.sleep(1)
                give(LOOPBACK)
            case "half":
                # Asked for IPv6 it keeps silent, as some servers do that know of none.
                if kind == "AAAA":
                    return []
                give(LOOPBACK)
            case "forged":
                give(LOOPBACK)
                wrong = DNSRecord.parse(data).reply()
                wrong.header.id = (request.header.id + 1) % 65_536
                wrong.add_answer(RR(name, QTYPE.A, rdata=A("10.0.0.1"), ttl=60))
                return [wrong.pack(), reply.pack()]
            case "private":
                give("10.0.0.1")
            case "metadata":
                give("169.254.169.254")
            case "nowhere":
                give("0.0.0.0")
            case "mapped":
                give("::ffff:a00:1")
            case "mixed":
                give("10.0.0.1", LOOPBACK)
            case _:
                reply.header.rcode = RCODE.NXDOMAIN
        packed = reply.pack()
        if len(packed) > DATAGRAM_BYTES_MAX and not is_tcp:
            reply.rr.clear()
            reply.header.tc = 1
            packed = reply.pack()
        return [packed]

    def close(self):
        self.udp.close()
        self.tcp.close()


@dataclass(frozen=True)
class Name:
    """A host and the outcome of its first attempt, and of its second, if it is made."""

    name: str
    host: str
    error: str | None = None
    words: str = ""
    then: str | None = "the same"


CASES = [
    Name("an_answer", "plain.test"),
    Name("no_answer", "silent.test", "dns", "No name server answered"),
    Name("no_such_name", "unknown.test", "dns", "does not exist"),
    Name("a_server_that_fails", "broken.test", "dns", "could not say where"),
    Name("a_server_that_refuses", "refused.test", "dns", "could not say where"),
    Name("a_name_without_an_address", "empty.test", "dns", "has no address"),
    Name("an_address_that_changes_between_attempts", "moving.test", "connect", "Nothing listens", then=None),
    Name("a_name_that_is_bound_anew_to_a_private_address", "rebinding.test", None),
    Name("a_dead_address_before_a_living_one", "second.test"),
    Name("ninety_nine_dead_addresses", "many.test", "connect", "Nothing listens"),
    Name("ipv6_only", "ipv6.test"),
    Name("a_chain_of_aliases", "chain.test"),
    Name("aliases_in_a_circle", "loop.test", "dns"),
    Name("a_truncated_answer", "truncated.test"),
    Name("a_malformed_answer", "malformed.test", "dns"),
    Name("an_answer_after_12_seconds", "late.test", "dns", "No name server answered"),
    Name("an_answer_after_a_second", "slow.test"),
    Name("no_answer_for_ipv6", "half.test"),
    Name("an_answer_with_a_forged_number_before_the_right_one", "forged.test"),
    Name("a_private_address", "private.test", "blocked_address", "10.0.0.1"),
    Name("the_metadata_address", "metadata.test", "blocked_address", "169.254.169.254"),
    Name("the_address_0_0_0_0", "nowhere.test", "blocked_address", "0.0.0.0"),
    Name("a_private_address_as_ipv6", "mapped.test", "blocked_address", "10.0.0.1"),
    Name("a_private_address_beside_an_allowed_one", "mixed.test"),
    Name("an_international_name", "bücher.test"),
]


def wrapped(folder: Path) -> str:
    """A program that sees another `/etc/resolv.conf`."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("no right to mount here: the program cannot be given another name server")
    settings = folder / "resolv.conf"
    settings.write_text(f"nameserver {SERVER}\n")
    script = folder / "callhook"
    inside = f'mount --bind {shlex.quote(str(settings))} "$(readlink -f /etc/resolv.conf)" && exec "$0" "$@"'
    script.write_text(f"#!/bin/sh\nexec unshare --mount sh -c {shlex.quote(inside)} {shlex.quote(BINARY)} \"$@\"\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


@pytest.fixture(scope="module")
def names():
    try:
        server = NameServer()
    except PermissionError:
        pytest.skip("no right to serve names at port 53 here")
    yield server
    server.close()


@pytest.fixture(scope="module")
def callhook(names, tmp_path_factory):
    binary = wrapped(tmp_path_factory.mktemp("resolver"))
    with Callhook("--retry-delays=1s", allow=("127.0.0.0/8", "::1/128"), binary=binary) as callhook:
        yield callhook


@pytest.fixture(scope="module")
def ports():
    """One receiver for both families, at one port."""

    with Receiver() as receiver:
        relay = socket.create_server(("::1", receiver.port), family=socket.AF_INET6)

        def forward():
            while True:
                try:
                    peer, _ = relay.accept()
                except OSError:
                    return
                onward = socket.create_connection((LOOPBACK, receiver.port))
                for one, other in ((peer, onward), (onward, peer)):
                    threading.Thread(target=pump, args=(one, other), daemon=True).start()

        def pump(one, other):
            while data := one.recv(65_536):
                other.sendall(data)

        threading.Thread(target=forward, daemon=True).start()
        yield receiver
        relay.close()


@pytest.fixture(scope="module")
def outcome(callhook, ports):
    """The ended delivery of each name, with one retry after a second."""
    flows = {case.name: callhook.flow(f"http://{case.host}:{ports.port}/") for case in CASES}
    for flow in flows.values():
        callhook.report(flow)

    def ended():
        found = {name: callhook.deliveries(call_flow_id=flow["id"])[0] for name, flow in flows.items()}
        return None if any(delivery["status"] == "scheduled" for delivery in found.values()) else found

    found = wait_until(ended, 60, "the end of every delivery")
    return {name: callhook.delivery(delivery["id"]) for name, delivery in found.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_dns(case, outcome, note):
    attempts = outcome[case.name]["attempts"]
    first, *more = attempts
    took = ", ".join(f"{attempt['duration_ms'] / 1000:.2f} s, {attempt['error'] or 'delivered'}" for attempt in attempts)
    note(took)
    told = f"{first['error']}: {first['error_detail']}"
    assert first["error"] == case.error and case.words in (first["error_detail"] or ""), told
    for attempt in attempts:
        assert attempt["duration_ms"] <= DURATION_MAX_MS, took
    expected = case.error if case.then == "the same" else case.then
    assert [attempt["error"] for attempt in more] == ([expected] if case.error else [])


def test_what_is_bound_anew_is_judged_anew(callhook, outcome, names, ports, note):
    """The first delivery went to an allowed address. The name has moved, its answer was not to be kept, the connection is gone."""
    flow = callhook.flow(f"http://rebinding.test:{ports.port}/", retry_delays_seconds=[])
    # A kept connection still leads to the old address, which was allowed: close it by an answer of the receiver.
    ports.answer = lambda _: None
    callhook.report(flow)
    callhook.settled(1, call_flow_id=flow["id"])
    ports.answer = lambda _: (200, {}, b"ok")
    callhook.report(flow)
    last, *_ = callhook.settled(2, call_flow_id=flow["id"])
    [attempt] = callhook.delivery(last["id"])["attempts"]
    note(f"{attempt['duration_ms'] / 1000:.2f} s, {attempt['error']}")
    assert attempt["error"] == "blocked_address" and "10.0.0.1" in attempt["error_detail"]


def test_names_without_an_answer_hold_up_no_other(callhook, outcome, names, ports, note):
    """As many as are in flight at a time, of which the name server says nothing, and one that it knows well."""
    flows = [callhook.flow(f"http://silent{number}.test/", retry_delays_seconds=[]) for number in range(SILENT_NAMES)]
    good = callhook.flow(f"http://plain.test:{ports.port}/new", retry_delays_seconds=[])
    fresh = callhook.flow(f"http://lapsing.test:{ports.port}/", retry_delays_seconds=[])
    ports.answer = lambda _: (200, {"Connection": "close"}, b"ok")
    for flow in flows:
        callhook.report(flow)
    wait_until(lambda: sum(label.startswith("silent") for label in names.asked) >= SILENT_NAMES / 2, what="the questions")
    callhook.report(good)
    callhook.report(fresh)
    took = []
    for flow in (good, fresh):
        [delivery] = callhook.settled(1, call_flow_id=flow["id"])
        [attempt] = callhook.delivery(delivery["id"])["attempts"]
        assert delivery["status"] == "delivered", attempt
        took.append(attempt["duration_ms"])
    note(f"{took[0]} ms a known name, {took[1]} ms one that is asked for")
    # Not as long as a question waits for its answer.
    assert max(took) < 2_000
    callhook.settled(len(flows))


def test_an_answer_that_lasts_no_time_is_asked_for_again(callhook, names, ports, note):
    flow = callhook.flow(f"http://lapsing.test:{ports.port}/", retry_delays_seconds=[])
    ports.answer = lambda _: (200, {"Connection": "close"}, b"ok")
    for count in (1, 2):
        callhook.report(flow)
        callhook.settled(count, call_flow_id=flow["id"])
    asked = names.asked["lapsing"].count("A/udp")
    note(f"asked {asked} times")
    assert asked >= 2


def test_a_truncated_answer_is_asked_for_over_tcp(outcome, names):
    assert "A/tcp" in names.asked["truncated"]
