"""Endpoints whose encryption is wrong, over a certificate authority of the test's own: each says in words what is wrong with it."""

import socket
import ssl
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from faults.arena import GOOD, GROWTH_MAX_KIB, Case, Endpoint, judge, read_request, run
from faults.authority import DAY, NOW, Authority, Identity
from faults.test_receivers import hang, reset
from harness import Callhook, free_port

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")]

UNKNOWN = "Nobody whom this machine trusts"
UNSAFE = "takes no encryption that is safe today"
CUT = "cut the connection while encryption"


TRUSTED = Authority()
STRANGER = Authority("Stranger")
GOOD_IDENTITY = TRUSTED.issue()
ROOTS = TRUSTED.roots()


def self_signed() -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    lonely = Authority("localhost")
    lonely.key = key
    subject = lonely.name
    return Identity(key, [lonely.sign(key, subject)])


def long_chain() -> Identity:
    """As many intermediates as a handshake can carry: 80 KB of them."""
    chain, signer = [], TRUSTED
    for number in range(120):
        next_signer = Authority.__new__(Authority)
        next_signer.key = ec.generate_private_key(ec.SECP256R1())
        next_signer.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Intermediate {number}")])
        next_signer.certificate = signer.sign(next_signer.key, next_signer.name, is_authority=True)
        chain.insert(0, next_signer.certificate)
        signer = next_signer
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = signer.sign(key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
    return Identity(key, [leaf, *chain])


def answers(peer, _):
    while read_request(peer):
        peer.sendall(GOOD)


def truncates(peer, _):
    """A body without a length, and then the connection is cut without the word that TLS says at an end."""
    read_request(peer)
    peer.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
    peer.detach_from_tls()


def of(context_of, behave=answers):
    """A server that speaks TLS so."""

    def converse(peer, endpoint):
        secure = context_of().wrap_socket(peer, server_side=True)
        secure.detach_from_tls = lambda: socket.socket(fileno=secure.detach()).close()
        behave(secure, endpoint)

    return converse


def plain(peer, _):
    peer.recv(4_096)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def hello_and(then):
    def behave(peer, _):
        peer.recv(4_096)
        then(peer)

    return behave


def with_identity(identity: Identity, **settings):
    return of(lambda: identity.context(**settings))


V1_0, V1_1, V1_2 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2
RSA_1024 = TRUSTED.issue(rsa.generate_private_key(65_537, 1_024))
RSA_2048 = TRUSTED.issue(rsa.generate_private_key(65_537, 2_048))

CASES = [
    Case("a_good_certificate", with_identity(GOOD_IDENTITY)),
    Case("expired", with_identity(TRUSTED.issue(since=NOW - 9 * DAY, until=NOW - DAY)), "tls", "expired on"),
    Case("not_yet_valid", with_identity(TRUSTED.issue(since=NOW + 9 * DAY, until=NOW + 19 * DAY)), "tls", "is not valid before"),
    Case("for_another_name", with_identity(TRUSTED.issue(host="other.example.com")), "tls", "is for other.example.com"),
    Case("self_signed", with_identity(self_signed()), "tls", "self-signed"),
    Case("of_an_unknown_authority", with_identity(STRANGER.issue()), "tls", UNKNOWN),
    Case("of_an_authority_with_a_trusted_name", with_identity(Authority().issue()), "tls", UNKNOWN),
    Case("for_clients_only", with_identity(TRUSTED.issue(usage=ExtendedKeyUsageOID.CLIENT_AUTH)), "tls", "not one for a web server"),
    Case("of_a_weak_key", with_identity(RSA_1024), "tls"),
    Case("of_a_chain_of_120", with_identity(long_chain()), "tls"),
    Case("tls_1_0_only", with_identity(RSA_2048, lowest=V1_0, highest=V1_0), "tls", UNSAFE),
    Case("tls_1_1_only", with_identity(RSA_2048, lowest=V1_1, highest=V1_1), "tls", UNSAFE),
    Case("no_common_cipher", with_identity(RSA_2048, highest=V1_2, ciphers="AES256-SHA:@SECLEVEL=0"), "tls", UNSAFE),
    Case("a_client_certificate_wanted_in_1_2", with_identity(GOOD_IDENTITY, highest=V1_2, clients=ROOTS), "tls", "client certificate"),
    Case("a_client_certificate_wanted_in_1_3", with_identity(GOOD_IDENTITY, clients=ROOTS), "tls", "client certificate"),
    Case("plain_http_on_the_port", plain, "tls", "does not speak https"),
    Case("closed_in_the_handshake", hello_and(lambda peer: None), "tls", CUT),
    Case("reset_in_the_handshake", hello_and(reset), "tls", CUT),
    Case("silence_in_the_handshake", hello_and(hang), "timeout", "agreeing on encryption with localhost"),
    Case("random_bytes_in_the_handshake", hello_and(lambda peer: peer.sendall(bytes(range(256)) * 8)), "tls"),
    Case("half_a_hello_and_silence", hello_and(lambda peer: (peer.sendall(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76"), hang(peer))), "timeout", "agreeing on encryption"),
    Case("cut_without_a_word_in_the_body", of(GOOD_IDENTITY.context, truncates), status=200),
]


def wrap(peer: socket.socket, is_good: bool):
    return GOOD_IDENTITY.context().wrap_socket(peer, server_side=True) if is_good else peer


@pytest.fixture(scope="module")
def trusting():
    """A server that trusts the test's authority, as an operator with one of his own sets it up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", ROOTS)
        # What this machine trusts beside it must not matter.
        patch.delenv("SSL_CERT_DIR", raising=False)
        with Callhook(allow=("127.0.0.0/8", "::1/128")) as callhook:
            yield callhook


@pytest.fixture(scope="module")
def outcome(trusting):
    endpoints = {case.name: Endpoint(case, wrap) for case in CASES}

    def mend():
        for endpoint in endpoints.values():
            endpoint.is_good = True

    urls = {name: f"https://localhost:{endpoint.port}/" for name, endpoint in endpoints.items()}
    yield run(trusting, urls, mend, set())
    for endpoint in endpoints.values():
        endpoint.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_tls(case, outcome, note):
    judge(case, outcome, note)


def test_all_of_them_together_cost_little_memory(outcome, note):
    note(f"{outcome.growth_kib} KiB beyond the server's own")
    assert outcome.growth_kib < GROWTH_MAX_KIB


def test_a_server_that_wants_to_renegotiate(trusting, note):
    """OpenSSL's own server asks for a new handshake in the middle of the request: nothing hangs, and it is no success."""
    port = free_port()
    command = ["openssl", "s_server", "-accept", str(port), "-cert", GOOD_IDENTITY.path, "-tls1_2", "-legacy_renegotiation"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        while b"ACCEPT" not in server.stdout.readline():
            pass
        trusting.report(trusting.flow(f"https://localhost:{port}/", retry_delays_seconds=[]))
        while b"POST / HTTP/1.1" not in server.stdout.readline():
            pass
        server.stdin.write(b"R\n")
        server.stdin.flush()
        started = time.monotonic()
        flow = trusting.data("GET", "/call-flows")["call_flows"][0]
        [delivery] = trusting.settled(1, call_flow_id=flow["id"])
        [attempt] = trusting.delivery(delivery["id"])["attempts"]
    finally:
        server.kill()
        server.wait()
    note(f"{attempt['duration_ms'] / 1000:.2f} s, {attempt['error']}")
    assert attempt["error"] in ("tls", "protocol", "timeout") and attempt["error_detail"], attempt
    assert attempt["duration_ms"] <= 10_250 and time.monotonic() - started < 15
