"""A PgBouncer of this run that stands before a server, set up as docs/postgresql.md says."""

import os
import re
import shutil
import signal
import subprocess
import time
from functools import cache

from harness import ROOT, free_port
from postgres import Server, account, binaries

# It hands prepared statements on from then on.
VERSION_MIN = (1, 21)


def program() -> str | None:
    return os.environ.get("CALLHOOK_TEST_PGBOUNCER") or shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@cache
def why_not() -> str | None:
    """Why it cannot be tried here."""
    if not program():
        return "PgBouncer is not installed: scripts/test fetches it where it can be had"
    try:
        said = subprocess.run([program(), "--version"], cwd="/", capture_output=True, text=True, **account()).stdout
    except PermissionError:
        return f"{program()} cannot be run by the user postgres"
    version = re.search(r"PgBouncer (\d+)\.(\d+)", said)
    if not version or tuple(map(int, version.groups())) < VERSION_MIN:
        return f"{said.splitlines()[:1]} is too old: it hands no prepared statements on"
    return None


def documented() -> str:
    """The settings of the page about it."""
    return re.search(r"^```ini\n(.+?)^```$", (ROOT / "docs/postgresql.md").read_text(), re.MULTILINE | re.DOTALL).group(1)


class PgBouncer:
    """It refuses to run as root, as PostgreSQL does: the same user runs it. `settings` come after the documented ones."""

    def __init__(self, server: Server, **settings: str):
        self.server, self.port = server, free_port()
        self.file, self.log_path = server.folder / f"pgbouncer-{self.port}.ini", server.folder / f"pgbouncer-{self.port}.log"
        own = {
            "listen_addr": "127.0.0.1", "listen_port": str(self.port), "unix_socket_dir": "", "auth_type": "any", "admin_users": "postgres",
            "stats_users": "postgres", "log_connections": "0", "log_disconnections": "0",
        } | settings
        named = re.sub(r"^callhook = .+$", f"callhook = host=127.0.0.1 port={server.port} dbname=postgres user=postgres", documented(), flags=re.MULTILINE)
        self.file.write_text(named + "".join(f"{name} = {value}\n" for name, value in own.items()))
        self.file.chmod(0o644)
        self.process: subprocess.Popen | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/callhook"

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([program(), str(self.file)], cwd="/", stdout=log, stderr=log, **self.server.account)
        asked = [binaries() / "pg_isready", "--host=127.0.0.1", f"--port={self.port}"]
        deadline = time.monotonic() + 20
        while subprocess.run(asked, capture_output=True).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(0.02)

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def stop(self, how: signal.Signals = signal.SIGQUIT):
        """SIGQUIT: at once; SIGINT: when no transaction is open; SIGTERM: when its clients are gone."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)

    def ask(self, command: str) -> list[dict[str, str]]:
        """What its console says: `SHOW POOLS`."""
        asked = self.server.run("psql", "--no-psqlrc", "--csv", "--username=postgres", "--host=127.0.0.1", f"--port={self.port}", "--dbname=pgbouncer", f"--command={command}")
        names, *rows = [line.split(",") for line in asked.splitlines()] or [[]]
        return [dict(zip(names, row)) for row in rows]

    def close(self):
        self.stop()
