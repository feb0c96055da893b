"""Receivers that hang, flood, cut, lie and lead astray: each attempt ends in time, bounded, with its reason, and harms no later one."""

import gzip
import itertools
import socket
import struct
import time

import pytest

from faults.arena import GROWTH_MAX_KIB, Case, Endpoint, judge, read_request, run
from harness import Callhook, free_port

pytestmark = pytest.mark.long

OK = b"HTTP/1.1 200 OK\r\n"
# Longer than any attempt.
FOR_LONG = 15


def hang(peer):
    """Says nothing more, and notices when the other side hangs up."""
    peer.settimeout(FOR_LONG)
    while peer.recv(65_536):
        pass


def reset(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def says(*parts: bytes, then=None, first=read_request):
    """Reads the request, sends these bytes, and does `then`; without it, closes."""

    def behave(peer, _):
        first(peer)
        for part in parts:
            peer.sendall(part)
        if then:
            then(peer)

    return behave


def trickles(start: bytes, byte: bytes):
    def behave(peer, _):
        read_request(peer)
        peer.sendall(start)
        for _ in range(FOR_LONG * 2):
            peer.sendall(byte)
            time.sleep(0.5)

    return behave


def endless(start: bytes, part: bytes):
    def behave(peer, _):
        read_request(peer)
        peer.sendall(start)
        while True:
            peer.sendall(part)

    return behave


def gigabyte(start: bytes, part: bytes):
    def behave(peer, _):
        read_request(peer)
        peer.sendall(start)
        for _ in range(2**30 // len(part)):
            peer.sendall(part)

    return behave


def takes_nothing(peer, _):
    time.sleep(FOR_LONG)
    peer.close()


def redirects(location: str, status: int = 307):
    def behave(peer, endpoint):
        while read_request(peer):
            where = location.format(port=endpoint.port)
            peer.sendall(f"HTTP/1.1 {status} Go\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())

    return behave


def redirects_on_and_on(peer, endpoint):
    while request := read_request(peer):
        step = int(request.split()[1].rpartition(b"/")[2] or 0) + 1
        peer.sendall(f"HTTP/1.1 307 Go\r\nLocation: /{step}\r\nContent-Length: 0\r\n\r\n".encode())


def redirects_slowly(peer, _):
    for step in itertools.count(1):
        if not read_request(peer):
            return
        time.sleep(4)
        peer.sendall(f"HTTP/1.1 307 Go\r\nLocation: /{step}\r\nContent-Length: 0\r\n\r\n".encode())


def redirects_once_with(status: int):
    """What was a POST comes to the new address as one after 307 and 308 alone."""

    def behave(peer, _):
        while request := read_request(peer):
            method, path, *_ = request.split()
            if path == b"/moved":
                is_right = method == (b"POST" if status in (307, 308) else b"GET")
                peer.sendall(b"HTTP/1.1 %d Done\r\nContent-Length: 0\r\n\r\n" % (201 if is_right else 405))
            else:
                peer.sendall(b"HTTP/1.1 %d Go\r\nLocation: /moved\r\nContent-Length: 0\r\n\r\n" % status)

    return behave


def answers_early(peer, _):
    peer.recv(64)
    peer.sendall(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    time.sleep(0.2)
    reset(peer)


TRICKLE = "waiting for the answer of 127.0.0.1"
CLOSED = "closed the connection without a complete answer"
NOT_HTTP = "was not HTTP"
FLOOD = b"X-Flood: " + b"a" * 64 + b"\r\n"
BOMB = gzip.compress(b"\0" * 64 * 2**20)

CASES = [
    # Silence and slowness, at each step.
    Case("silence_before_the_request", takes_nothing, "timeout", TRICKLE),
    Case("silence_after_the_request", says(then=hang), "timeout", TRICKLE),
    Case("silence_in_the_status_line", says(b"HTTP/1.1 20", then=hang), "timeout", TRICKLE),
    Case("silence_in_the_headers", says(OK + b"X-A: ", then=hang), "timeout", TRICKLE),
    Case("silence_after_100_continue", says(b"HTTP/1.1 100 Continue\r\n\r\n", then=hang), "timeout", TRICKLE),
    Case("a_status_line_that_trickles", trickles(b"HTTP/1.1 200 ", b"O"), "timeout", TRICKLE),
    Case("headers_that_trickle", trickles(OK, b"X: y\r\n"), "timeout", TRICKLE),
    Case("a_body_that_trickles", trickles(OK + b"Content-Length: 1000000\r\n\r\n", b"x"), status=200),
    Case("chunks_that_trickle", trickles(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), status=200),
    Case("a_body_that_never_comes", says(OK + b"Content-Length: 10\r\n\r\n", then=hang), status=200),
    # Too much.
    Case("an_endless_body", endless(OK + b"\r\n", b"x" * 65_536), status=200),
    Case("a_body_of_a_gigabyte", gigabyte(OK + b"Content-Length: 1073741824\r\n\r\n", b"x" * 65_536), status=200),
    Case("an_endless_body_of_a_failure", endless(b"HTTP/1.1 500 No\r\n\r\n", b"x" * 65_536), "http_500", "error of its own", 500),
    Case("endless_chunks", endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4_096 + b"\r\n"), status=200),
    Case("an_endless_chunk_extension", endless(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 4_096), status=200),
    Case("a_compressed_bomb", says(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB), status=200),
    Case("endless_headers", endless(OK, FLOOD), "protocol", "more headers than callhook reads"),
    Case("a_hundred_and_one_headers", says(OK + b"X-A: b\r\n" * 101 + b"\r\n"), "protocol", "more headers than callhook reads"),
    Case("a_header_of_20_kb", says(OK + b"X-A: " + b"b" * 20_000 + b"\r\n\r\n"), "protocol", "more headers than callhook reads"),
    Case("an_endless_status_line", endless(b"HTTP/1.1 200 ", b"O" * 4_096), "protocol"),
    Case("a_flood_of_interim_answers", endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), "protocol", "interim answers"),
    Case("a_few_interim_answers", says(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + OK + b"Content-Length: 0\r\n\r\n"), status=200),
    # Cuts, at each step.
    Case("closed_at_once", lambda peer, _: peer.close(), "protocol"),
    Case("reset_at_once", lambda peer, _: reset(peer), "protocol"),
    Case("closed_after_the_request", says(), "protocol", CLOSED),
    Case("reset_after_the_request", says(then=reset), "protocol", "127.0.0.1"),
    Case("closed_in_the_status_line", says(b"HTTP/1.1 2"), "protocol", CLOSED),
    Case("reset_in_the_status_line", says(b"HTTP/1.1 2", then=reset), "protocol", "127.0.0.1"),
    Case("reset_in_the_headers", says(OK + b"X-A: b\r\n", then=reset), "protocol", "127.0.0.1"),
    Case("closed_in_the_headers", says(OK + b"X-A: b\r\n"), "protocol", CLOSED),
    Case("reset_in_the_body", says(OK + b"Content-Length: 100\r\n\r\nab", then=reset), status=200),
    Case("an_early_answer_and_a_reset", answers_early, "http_413", "too large", 413),
    # Nonsense and lies.
    Case("the_banner_of_ssh", says(b"SSH-2.0-OpenSSH_9.6\r\n", then=hang, first=lambda peer: None), "protocol", NOT_HTTP),
    Case("the_banner_of_a_mail_server", says(b"220 mail ESMTP\r\n", then=hang), "protocol", NOT_HTTP),
    Case("random_bytes", says(bytes(range(256)) * 8, then=hang), "protocol", NOT_HTTP),
    Case("frames_of_http_2", says(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"), "protocol"),
    Case("a_negative_length", says(OK + b"Content-Length: -1\r\n\r\n"), "protocol", NOT_HTTP),
    Case("two_lengths", says(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "protocol", NOT_HTTP),
    Case("a_length_beyond_all_numbers", says(OK + b"Content-Length: 99999999999999999999999\r\n\r\n"), "protocol", NOT_HTTP),
    Case("a_body_shorter_than_its_length", says(OK + b"Content-Length: 100\r\n\r\nab"), status=200),
    Case("a_chunk_of_a_wrong_size", says(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), status=200),
    Case("an_answer_after_the_answer", says((OK + b"Content-Length: 2\r\n\r\nok") * 2, then=hang), status=200),
    Case("bytes_after_the_answer", says(OK + b"Content-Length: 2\r\n\r\nokMORE", then=hang), status=200),
    Case("a_switch_of_protocols", says(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", then=hang), "http_101"),
    # Redirects of every kind.
    Case("a_redirect_in_a_circle", redirects("/"), "redirect_limit", "in a circle"),
    Case("redirects_on_and_on", redirects_on_and_on, "redirect_limit", "leads on and on"),
    Case("slow_redirects", redirects_slowly, "timeout", "within 10 s"),
    *(Case(f"a_{status}_that_is_followed", redirects_once_with(status), status=201) for status in (301, 302, 303, 307, 308)),
    Case("a_300_that_is_none", redirects("/moved", 300), "http_300", status=300),
    Case("a_redirect_to_the_metadata_address", redirects("http://169.254.169.254/latest"), "blocked_address", "169.254.169.254"),
    Case("a_redirect_to_a_private_address", redirects("http://10.0.0.1/", 302), "blocked_address", "10.0.0.1"),
    Case("a_redirect_to_a_file", redirects("file:///etc/passwd"), "redirect_refused", "neither http nor https"),
    Case("a_redirect_with_a_password", redirects("http://user:secret@127.0.0.1:{port}/"), "redirect_refused", "password in it"),
    Case("a_redirect_that_is_too_long", redirects("/" + "x" * 3_000), "redirect_refused", "2,048 characters"),
    Case("a_redirect_to_nowhere", says(b"HTTP/1.1 302 Go\r\nContent-Length: 0\r\n\r\n"), "http_302", "without an address", 302),
    Case("a_redirect_to_a_closed_port", redirects(f"http://127.0.0.1:{free_port()}/"), "connect", "Nothing listens"),
]


@pytest.fixture(scope="module")
def outcome():
    endpoints = {case.name: Endpoint(case) for case in CASES}

    def mend():
        for endpoint in endpoints.values():
            endpoint.is_good = True

    with Callhook() as callhook:
        urls = {name: f"http://127.0.0.1:{endpoint.port}/" for name, endpoint in endpoints.items()}
        yield run(callhook, urls, mend, {case.name for case in CASES if case.once})
    for endpoint in endpoints.values():
        endpoint.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_receiver(case, outcome, note):
    judge(case, outcome, note)


def test_all_of_them_together_cost_little_memory(outcome, note):
    note(f"{outcome.growth_kib} KiB beyond the server's own")
    assert outcome.growth_kib < GROWTH_MAX_KIB


def test_a_host_that_takes_no_connection(note):
    """A queue of connections that nobody accepts, and that is full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    queued = []
    for _ in range(4):
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
        queued.append(waiting)
    with Callhook() as callhook:
        callhook.report(callhook.flow(f"http://127.0.0.1:{listener.getsockname()[1]}/", retry_delays_seconds=[]))
        [delivery] = callhook.settled(1)
        [attempt] = callhook.delivery(delivery["id"])["attempts"]
    note(f"{attempt['duration_ms'] / 1000:.2f} s, {attempt['error']}")
    assert attempt["error"] == "timeout" and "while connecting to 127.0.0.1" in attempt["error_detail"]
    assert attempt["duration_ms"] <= 10_250
    for waiting in queued:
        waiting.close()
    listener.close()
