"""A PostgreSQL server of this run, in a folder of its own: gone with the run."""

import atexit
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

from wall_clock import WallClock

STARTED: list["Server"] = []
SETTINGS = {"listen_addresses": "127.0.0.1", "shared_buffers": "64MB", "max_connections": "100"}


def binaries() -> Path:
    """The newest that is installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert installed, "PostgreSQL is missing: scripts/test --prepare installs it"
    return installed[-1].parent


def account() -> dict:
    """Who runs what refuses to run as root, as `subprocess` takes it."""
    if os.geteuid() != 0:
        return {}
    found = pwd.getpwnam("postgres")
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


@cache
def unused_cluster() -> Path:
    """What `initdb` makes, to be copied: it takes seconds, and there are many servers."""
    folder, owner = Path(tempfile.mkdtemp(prefix="callhook-postgres-")), account()
    if owner:
        os.chown(folder, owner["user"], owner["group"])
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    words = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"]
    made = subprocess.run([binaries() / "initdb", *words, "-D", folder / "data"], cwd="/", capture_output=True, text=True, **owner)
    assert made.returncode == 0, f"initdb: {made.stderr}"
    return folder / "data"


class Server:
    """A server that a test may stop, start and break. It refuses to run as root: then the user `postgres` runs it."""

    def __init__(self, port: int, parent: Path | None = None, standby_of: "Server | None" = None, has_clock: bool = False, **settings: str):
        self.port = port
        self.folder = Path(tempfile.mkdtemp(prefix="callhook-postgres-", dir=parent))
        self.account = account()
        if self.account:
            os.chown(self.folder, self.account["user"], self.account["group"])
        # In its folder, since the server has to read it.
        self.wall_clock = WallClock(self.folder) if has_clock else None
        self.settings = SETTINGS | {"port": str(port), "unix_socket_directories": str(self.folder)} | settings
        self.process: subprocess.Popen | None = None
        self.data = self.folder / "data"
        if standby_of:
            source = ["--host=127.0.0.1", f"--port={standby_of.port}", "--username=postgres"]
            self.run("pg_basebackup", *source, "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D", str(self.data))
        else:
            subprocess.run(["cp", "--recursive", "--preserve=mode", unused_cluster(), self.data], cwd="/", check=True, **self.account)
        self.start()
        STARTED.append(self)

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: str) -> str:
        command = [binaries() / program, *arguments]
        ended = subprocess.run(command, cwd="/", capture_output=True, text=True, **self.account)
        assert ended.returncode == 0, f"{program}: {ended.stderr}"
        return ended.stdout

    def start(self):
        settings = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        command = [binaries() / "postgres", "-D", self.data, *settings]
        environment = os.environ | (self.wall_clock.environment if self.wall_clock else {})
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, cwd="/", env=environment, stdout=log, stderr=log, **self.account)
        deadline = time.monotonic() + 20
        while not self.is_up():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(0.02)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def is_up(self) -> bool:
        """Whether it takes connections."""
        asked = subprocess.run([binaries() / "pg_isready", "--host=127.0.0.1", f"--port={self.port}"], capture_output=True)
        return asked.returncode == 0

    def stop(self, how: signal.Signals = signal.SIGQUIT):
        """SIGQUIT: at once, as a crash; SIGINT: cleanly."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)

    def sql(self, statements: str) -> str:
        return self.run("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1",
                        "--username=postgres", f"--port={self.port}", "--host=127.0.0.1", "--dbname=postgres", f"--command={statements}")

    def let_in(self, *lines: str):
        """What pg_hba.conf says of everybody but the tests themselves."""
        own = ["local all all trust", "host all postgres 127.0.0.1/32 trust"]
        (self.data / "pg_hba.conf").write_text("".join(f"{line}\n" for line in [*own, *lines]))
        self.reload()

    def reload(self, **settings: str):
        """Has it read its files again, with other settings, and waits until it has."""
        for name, value in settings.items():
            self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        loaded_at = self.sql("SELECT pg_conf_load_time()")
        self.sql("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 10
        while self.sql("SELECT pg_conf_load_time()") == loaded_at:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)

    def texts(self, schema: str) -> str:
        """Everything that the tables hold, as text. Asked for at once: a process for each column would take seconds."""
        asked = f"SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = '{schema}' AND data_type IN ('text', 'bytea')"
        columns = [line.split("|") for line in self.sql(asked).splitlines()]
        as_text = {"text": "{}", "bytea": "encode({}, 'escape')"}
        return self.sql(" UNION ALL ".join(f"SELECT {as_text[kind].format(column)} FROM {schema}.{table}" for table, column, kind in columns))

    def copy(self, schema: str, to: str):
        """A schema once more, under a name that is in none of its texts as the first one's is."""
        dump = self.run("pg_dump", f"--schema={schema}", "--username=postgres", f"--port={self.port}", "--host=127.0.0.1", "postgres")
        self.script(dump.replace(schema, to))

    def script(self, text: str):
        """Statements, however many."""
        file = self.folder / "script.sql"
        file.write_text(text)
        self.run("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--username=postgres", f"--port={self.port}",
                 "--host=127.0.0.1", "--dbname=postgres", f"--file={file}")

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def of_url(url: str) -> Server:
    """The server that a test has started there."""
    return next(server for server in STARTED if server.url == url)


@cache
def shared_server() -> Server:
    """The one server of all tests that do not break theirs."""
    from harness import free_port

    server = Server(free_port(), fsync="off")
    atexit.register(server.close)
    return server


def schema_of(folder: Path) -> str:
    return "test_" + hashlib.sha256(str(folder).encode()).hexdigest()[:16]


def environment(folder: Path, server: Server | None = None) -> dict[str, str]:
    """What makes a server on this folder keep its store in the database, the same each time."""
    return {"CALLHOOK_DATABASE_URL": (server or shared_server()).url, "CALLHOOK_DATABASE_SCHEMA": schema_of(folder)}
