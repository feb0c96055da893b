"""TLS on the way to PostgreSQL: each `sslmode` means before each server what it means to libpq, which is asked as well."""

import os
import re
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from faults.authority import NOW, Authority
from harness import SECRET_KEY, Callhook, free_port, wait_until
from postgres import Server, binaries
from test_cli import run

RIGHT, OTHER = Authority(), Authority("Other Authority")
CLEAR, TLS = "in clear", "encrypted"
# Words of a refusal.
LACKING, UNTRUSTED, HBA, BROKEN = "TLS", "cannot be trusted", "pg_hba.conf", "sslmode"

MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
# What comes of each of them, before each server.
OUTCOMES = {
    "right": [CLEAR, CLEAR, TLS, TLS, TLS, TLS],
    "of another authority": [CLEAR, CLEAR, TLS, TLS, UNTRUSTED, UNTRUSTED],
    "of another name": [CLEAR, CLEAR, TLS, TLS, TLS, UNTRUSTED],
    "without TLS": [CLEAR, CLEAR, CLEAR, LACKING, LACKING, LACKING],
    "whose handshake fails": [CLEAR, CLEAR, CLEAR, BROKEN, BROKEN, BROKEN],
    "for TLS only": [HBA, TLS, TLS, TLS, TLS, TLS],
    "for all but TLS": [CLEAR, CLEAR, CLEAR, HBA, HBA, HBA],
    "for nobody": [HBA, HBA, HBA, HBA, HBA, HBA],
    "without TLS and for nobody": [HBA, HBA, HBA, LACKING, LACKING, LACKING],
    "behind a Unix socket": [CLEAR, CLEAR, CLEAR, CLEAR, CLEAR, CLEAR],
}


class TlsServer(Server):
    """A server that becomes another for each case; a start of its own for each would take most of the time."""

    def __init__(self):
        super().__init__(free_port(), fsync="off", ssl_cert_file="server.pem", ssl_key_file="server.pem")
        self.sql("CREATE USER tenant PASSWORD 'hush-hush'; CREATE SCHEMA calls AUTHORIZATION tenant")

    def become(self, name: str):
        """What OUTCOMES calls so."""
        self.show({"of another authority": OTHER.issue(), "of another name": RIGHT.issue(host="db.example.com")}.get(name, RIGHT.issue()).path)
        # Neither callhook nor libpq speaks it.
        highest = "TLSv1.1" if name == "whose handshake fails" else ""
        is_on = "off" if name.startswith("without TLS") else "on"
        for setting in (f"ssl = {is_on}", "ssl_min_protocol_version = 'TLSv1'", f"ssl_max_protocol_version = '{highest}'"):
            self.sql(f"ALTER SYSTEM SET {setting}")
        who = {"for TLS only": "hostssl all tenant", "for all but TLS": "hostnossl all tenant", "for nobody": "host all nobody", "without TLS and for nobody": "host all nobody"}
        self.let_in(f"{who.get(name, 'host all tenant')} 127.0.0.1/32 scram-sha-256")

    def show(self, identity: str):
        """Presents the key and certificates of a file."""
        file = self.data / "server.pem"
        file.write_bytes(Path(identity).read_bytes())
        file.chmod(0o600)
        if self.account:
            os.chown(file, self.account["user"], self.account["group"])

    def url_of(self, mode: str, roots: str | None, host: str = "localhost") -> str:
        return f"postgres://tenant:hush-hush@{quote(host, safe='')}:{self.port}/postgres?sslmode={mode}" + (f"&sslrootcert={roots}" if roots else "")


@pytest.fixture(scope="module")
def postgres():
    server = TlsServer()
    yield server
    server.close()


@pytest.fixture(scope="module", params=OUTCOMES)
def server(request, postgres):
    postgres.become(request.param)
    return request.param, postgres


def what_libpq_does(url: str) -> str | None:
    """How it is connected, if at all."""
    asked = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    command = [binaries() / "psql", "--no-psqlrc", "--tuples-only", "--no-align", f"--command={asked}", url]
    # The user's own authorities are to be none.
    ended = subprocess.run(command, env={"HOME": "/nonexistent"}, capture_output=True, text=True, timeout=20)
    return {"t": TLS, "f": CLEAR}[ended.stdout.strip()] if ended.returncode == 0 else None


def what_callhook_does(url: str, server: Server, folder: Path) -> str:
    """How all of its connections are made, or the sentence with which it ends."""
    store = {"CALLHOOK_DATABASE_URL": url, "CALLHOOK_DATABASE_SCHEMA": "calls"}
    with Callhook("--log-level=trace", environment=store, folder=folder, wait=False) as callhook:

        def is_up() -> bool:
            try:
                return requests.get(f"{callhook.base}/readyz", timeout=5).status_code == 200
            except requests.RequestException:
                return False

        # What cannot mend itself is refused at once, and not tried for the ten seconds of a database that is not there.
        began = time.monotonic()
        wait_until(lambda: callhook.process.poll() is not None or is_up(), what="a start or a refusal")
        assert callhook.process.poll() is None or time.monotonic() < began + 8
        if callhook.process.poll() is None:
            callhook.report(tracking_number="+15735551234")
            assert callhook.data("GET", "/calls")["calls"]
            ways = server.sql("SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'tenant'").split()
            assert callhook.stop() == 0
        log = callhook.log_text()
    assert "hush-hush" not in log and "panicked" not in log, log
    if callhook.process.returncode == 0:
        # What was to be encrypted, if it may be, and is not, is worth a word.
        is_second = "sslmode=prefer" in url and ways == ["f"] and "%2F" not in url and server.sql("SHOW ssl").strip() == "on"
        assert ("connected without TLS" in log) == is_second, log
        return " and ".join({"t": TLS, "f": CLEAR}[way] for way in ways)
    assert callhook.process.returncode == 1
    [sentence] = [line.removeprefix("callhook: ") for line in log.splitlines() if line.startswith("callhook: ")]
    doctor = run("doctor", "--data-dir", str(folder / "data"), env=store | {"CALLHOOK_SECRET_KEY": SECRET_KEY})
    without_age = [re.sub(r"\(\d+ seconds ago\)", "", text) for text in (sentence, doctor.stdout)]
    assert doctor.returncode == 1 and without_age[0] in without_age[1] and "hush-hush" not in doctor.stdout + doctor.stderr, doctor
    return sentence


def check(expected: str, url: str, server: Server, folder: Path):
    is_connected = expected in (CLEAR, TLS)
    assert what_libpq_does(url) == (expected if is_connected else None)
    did = what_callhook_does(url, server, folder)
    assert did == expected if is_connected else expected in did, did


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_means_what_it_means_to_libpq(server, mode, tmp_path):
    name, postgres = server
    host = str(postgres.folder) if name == "behind a Unix socket" else "localhost"
    url = postgres.url_of(mode, RIGHT.roots() if mode.startswith("verify") else None, host)
    check(OUTCOMES[name][MODES.index(mode)], url, postgres, tmp_path)


@pytest.mark.parametrize("mode, roots, host, certificate, expected", [
    # Whoever names an authority wants it looked at.
    ("require", RIGHT, "localhost", {}, TLS),
    ("require", OTHER, "localhost", {}, UNTRUSTED),
    ("require", None, "localhost", {"until": NOW}, TLS),
    ("verify-ca", RIGHT, "localhost", {"until": NOW}, UNTRUSTED),
    # An address is no name, and the machine's own authorities have not signed it.
    ("verify-full", RIGHT, "127.0.0.1", {}, UNTRUSTED),
    ("verify-full", None, "localhost", {}, UNTRUSTED),
], ids=["right", "another", "expired and any", "expired", "an address", "the machine's"])
def test_a_certificate_is_looked_at_as_libpq_does(postgres, mode, roots, host, certificate, expected, tmp_path):
    postgres.become("right")
    postgres.show(RIGHT.issue(**certificate).path)
    postgres.reload()
    check(expected, postgres.url_of(mode, roots and roots.roots(), host), postgres, tmp_path)


@pytest.mark.parametrize("mode, host, names_it, expected", [
    ("verify-ca", "localhost", True, TLS),
    ("verify-full", "localhost", True, TLS),
    ("verify-full", "127.0.0.1", True, UNTRUSTED),
    ("verify-ca", "localhost", False, UNTRUSTED),
])
def test_a_certificate_that_signed_itself_is_trusted_where_it_is_named(postgres, mode, host, names_it, expected, tmp_path):
    # As the server's manual makes one: it is an authority's as well.
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-new", "-x509", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    postgres.become("right")
    both = tmp_path / "both.pem"
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    postgres.show(str(both))
    postgres.reload()
    check(expected, postgres.url_of(mode, str(certificate) if names_it else RIGHT.roots(), host), postgres, tmp_path)
