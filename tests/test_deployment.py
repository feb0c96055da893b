"""What `deploy/` promises, as far as it can be tried without an engine for containers and without a service manager."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tomllib
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import yaml

from harness import BINARY, KEY, ROOT, SECRET_KEY, Callhook, free_port, wait_until
from postgres import Server

UNIT = (ROOT / "deploy" / "callhook.service").read_text()
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.postgresql.yml").read_text())
FINAL_STAGE = DOCKERFILE.split("\nFROM ")[-1]


# Its second version: the first is no longer made, and does not know `name`.
COMPOSER = next((words for words in (["docker-compose"], ["docker", "compose"]) if shutil.which(words[0])
                 and re.search(r"v?2\.", subprocess.run([*words, "version", "--short"], capture_output=True, text=True).stdout)), None)


def dockerfile(instruction: str) -> str:
    """What the image's stage says after the instruction."""
    return re.search(rf"^{instruction} (.+)$", FINAL_STAGE, re.MULTILINE).group(1)


needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
CAN_BE_CONFINED = os.geteuid() == 0 and shutil.which("unshare") is not None
needs_root = pytest.mark.skipif(not CAN_BE_CONFINED, reason="only root can make a root folder of its own")


@needs_systemd
def test_the_unit_is_well_formed_and_hardened(tmp_path):
    unit = tmp_path / "callhook.service"
    unit.write_text(UNIT.replace("/usr/local/bin/callhook", BINARY))
    verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", str(unit)], capture_output=True, text=True,
    )
    assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize("stop", [
    re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE).group(1), COMPOSE["services"]["callhook"]["stop_grace_period"].removesuffix("s"),
], ids=["unit", "compose"])
def test_a_stop_may_take_longer_than_a_graceful_one_takes(stop):
    server = (ROOT / "crates/callhook/src/server.rs").read_text()
    drain = int(re.search(r"const DRAIN_MAX: Duration = Duration::from_secs\((\d+)\)", server).group(1))
    # Requests, then attempts of 10 s and their outcomes.
    assert int(stop) > drain + 10 + drain


class Image:
    """The image's last stage, made by hand: a root folder that nothing can be written to, but for the volume; no rights at all."""

    def __init__(self, folder: Path):
        self.root, self.data = folder / "root", folder / "data"
        user, _ = dockerfile("USER").split(":")
        self.user = int(user)
        self.data.mkdir(mode=0o700)
        os.chown(self.data, self.user, self.user)
        folder.chmod(0o755)
        libraries = re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout)
        for file, place in [(BINARY, "/usr/local/bin/callhook"), *((library, library) for library in libraries)]:
            target = self.root / place.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        for name in ("proc", "dev", "etc", "data"):
            (self.root / name).mkdir()
        self.environment = dict(pair.split("=", 1) for pair in re.findall(r"^ENV (.+)$", FINAL_STAGE, re.MULTILINE))
        self.environment |= {"PATH": os.environ["PATH"], "CALLHOOK_BOOTSTRAP_API_KEY": KEY, "CALLHOOK_ALLOW_NETWORK": "127.0.0.0/8"}
        # What an engine mounts beside the volume, each file on its own.
        self.secrets: dict[str, Path] = {}

    def command(self, words: list[str]) -> list[str]:
        root, data = shlex.quote(str(self.root)), shlex.quote(str(self.data))
        for place in self.secrets:
            target = self.root / place.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        mounts = [
            f"mount --bind {root} {root}", f"mount --bind {data} {root}/data", f"mount --rbind /dev {root}/dev",
            f"mount -t proc proc {root}/proc",
            *(f"mount --bind {shlex.quote(str(file))} {root}{place}" for place, file in self.secrets.items()),
            f"mount -o remount,bind,ro {root}",
        ]
        drop = "setpriv --no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid"
        enter = f"exec {drop} chroot --userspec={self.user}:{self.user} {root} {shlex.join(words)}"
        return ["unshare", "--mount", "sh", "-ec", " && ".join([*mounts, enter])]

    def run(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(list(words)), env=self.environment, capture_output=True, text=True, timeout=30)

    @contextmanager
    def serving(self, port: int):
        """The container's process, from its entry point to a graceful stop."""
        entry, words = (json.loads(dockerfile(name)) for name in ("ENTRYPOINT", "CMD"))
        self.environment["CALLHOOK_LISTEN"] = f"0.0.0.0:{port}"
        log = self.root.parent / "log.txt"
        with open(log, "wb") as output:
            process = subprocess.Popen(self.command(entry + words), env=self.environment, stdout=output, stderr=output)
        try:
            def is_ready():
                assert process.poll() is None, log.read_text()
                try:
                    return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200
                except (requests.ConnectionError, requests.Timeout):
                    return False

            wait_until(is_ready)
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


HEALTH = json.loads(re.search(r"CMD (\[.+\])", dockerfile("HEALTHCHECK")).group(1))


@needs_root
def test_the_image_needs_a_volume_and_nothing_else(tmp_path, receiver):
    image = Image(tmp_path)
    assert image.environment["CALLHOOK_LISTEN"].startswith("0.0.0.0:"), "others reach it"
    port = free_port()
    image.environment["CALLHOOK_SECRET_KEY"] = SECRET_KEY
    unhealthy = image.run(*HEALTH)
    assert unhealthy.returncode == 1 and "no server runs" in unhealthy.stderr
    with image.serving(port) as process:
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        assert status["Uid"].split() == [str(image.user)] * 4
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0 and status["NoNewPrivs"] == "1"
        mounts = [line.split() for line in Path(f"/proc/{process.pid}/mountinfo").read_text().splitlines()]
        options = {mount[4]: mount[5].split(",") for mount in mounts}
        assert "ro" in options["/"] and "rw" in options["/data"]
        assert image.run(*HEALTH).stdout == "ready\n"
        exchange(port, receiver)
        # Within the container, an operator has the same program.
        assert image.run("callhook", "doctor").returncode == 0
        backup = image.run("callhook", "backup", "/data/copy")
        assert backup.returncode == 0, backup.stderr
    assert {path.name for path in image.data.iterdir()} >= {"callhook.db", "copy"}


def exchange(port: int, receiver):
    """A call comes in and goes out."""
    api, headers = f"http://127.0.0.1:{port}/api/v1", {"Authorization": f"Bearer {KEY}"}
    hook = {"enabled": True, "url": receiver.base}
    flow = requests.post(f"{api}/call-flows", json={"name": "Ads", "post_call_webhook": hook}, headers=headers, timeout=10)
    call = {"call_flow_id": flow.json()["data"]["call_flow"]["id"], "caller_number": "+13055559876", "status": "completed"}
    assert requests.post(f"{api}/calls", json=call, headers=headers, timeout=10).status_code == 201
    assert receiver.next().json["caller_number"] == "+13055559876"


def test_the_dockerfile_copies_nothing_that_its_context_leaves_out():
    ignored = {line.strip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")}
    assert {"target", ".git", "callhook-data"} <= ignored
    assert not ignored & {"crates", "Cargo.toml", "Cargo.lock"}
    workspace = re.search(r'rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text()).group(1)
    assert f"rust:{workspace}-" in DOCKERFILE, "the builder is of the version that the workspace asks for"


def documented(beginning: str) -> str:
    """The commands of the page about deployment that begin so."""
    blocks = re.findall(r"^```sh\n(.+?)^```$", (ROOT / "docs/deployment.md").read_text(), re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if block.startswith(beginning))


def test_the_compose_file_keeps_the_database_to_itself_and_has_no_default_password():
    callhook, database = COMPOSE["services"]["callhook"], COMPOSE["services"]["database"]
    assert "ports" not in database and database["networks"] == ["store"] and COMPOSE["networks"]["store"]["internal"]
    assert all(port.startswith("127.0.0.1:") for port in callhook["ports"])
    assert callhook["depends_on"]["database"]["condition"] == "service_healthy" and database["healthcheck"]
    assert callhook["read_only"] and callhook["cap_drop"] == ["ALL"]
    assert (ROOT / "deploy" / callhook["build"]["context"] / callhook["build"]["dockerfile"]).resolve() == ROOT / "deploy/Dockerfile"
    volumes = {volume.split(":")[1]: volume.split(":")[0] for service in (callhook, database) for volume in service["volumes"]}
    assert volumes["/data"] in COMPOSE["volumes"] and volumes["/var/lib/postgresql/data"] in COMPOSE["volumes"]
    assert (ROOT / "deploy" / volumes["/docker-entrypoint-initdb.d/callhook.sh"]).exists()
    # What is secret is in files, and each file that a setting names is there.
    for service in (callhook, database):
        for name, value in service["environment"].items():
            is_file = name.endswith("_FILE") or name == "CALLHOOK_CONFIG"
            assert is_file or not re.search("KEY|PASSWORD|SECRET|URL", name) or name == "CALLHOOK_PUBLIC_URL", name
            assert not is_file or value.removeprefix("/run/secrets/") in service["secrets"], name
    made = re.findall(r"[\w.-]+", documented("install -d -m 0700 deploy/secrets"))
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"} and name in made
    ignored = [(ROOT / file).read_text().splitlines() for file in (".gitignore", ".dockerignore")]
    assert all("deploy/secrets" in [line.strip("/") for line in lines] for lines in ignored)


def run_as_composed(folder: Path, secrets: Path, url: str, receiver):
    """callhook's service: the image, the service's own variables, its secrets as files, nothing else."""
    service = COMPOSE["services"]["callhook"]
    (folder / "container").mkdir()
    image = Image(folder / "container")
    image.environment |= service["environment"] | {"CALLHOOK_PUBLIC_URL": "https://calls.example.com"}
    image.secrets = {f"/run/secrets/{name}": secrets / name for name in service["secrets"]}
    # The database has another address here, and the name of its file says nothing.
    reached = secrets / "callhook.toml"
    reached.chmod(0o644)
    reached.write_text(f'database_url = "{url}"\n')
    reached.chmod(0o444)
    port = free_port()
    with image.serving(port):
        assert image.run(*HEALTH).stdout == "ready\n"
        exchange(port, receiver)
        doctor = image.run("callhook", "doctor")
        assert "it opens the store" in doctor.stdout and "FAULT" not in doctor.stdout.replace("public address", ""), doctor.stdout
    assert {path.name for path in image.data.iterdir()} <= {"callhook.sock", "setup-link"}, "no key of its own, no store"


@pytest.mark.skipif(not COMPOSER, reason="Docker's compose is not installed")
def test_the_compose_file_is_one(tmp_path):
    """Read by the program itself, which needs no engine for that."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns("secrets"))
    command = [*COMPOSER, "-f", str(tmp_path / "deploy/compose.postgresql.yml"), "config", "--quiet"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    with_url = subprocess.run(command, env=environment | {"CALLHOOK_PUBLIC_URL": "https://calls.example.com"}, capture_output=True, text=True)
    assert (with_url.returncode, with_url.stderr) == (0, "")
    without = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert without.returncode != 0 and "CALLHOOK_PUBLIC_URL" in without.stderr


def test_the_compose_files_database_is_made_for_callhook_and_for_nobody_else(tmp_path, receiver):
    subprocess.run(["bash", "-ec", documented("install -d -m 0700 deploy/secrets")], cwd=tmp_path, check=True)
    secrets = tmp_path / "deploy/secrets"
    assert secrets.stat().st_mode & 0o777 == 0o700
    server = Server(free_port())
    try:
        environment = {
            "PATH": os.environ["PATH"], "PGHOST": "127.0.0.1", "PGPORT": str(server.port), "POSTGRES_USER": "postgres",
            "CALLHOOK_PASSWORD_FILE": str(secrets / "callhook-password"),
        }
        subprocess.run([ROOT / "deploy/postgresql-init.sh"], env=environment, check=True)
        health = COMPOSE["services"]["database"]["healthcheck"]["test"]
        assert health[0] == "CMD" and subprocess.run(health[1:], env=environment).returncode == 0
        # From now on it wants to hear the passwords.
        hba = server.data / "pg_hba.conf"
        hba.write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        server.run("pg_ctl", "reload", "-D", str(server.data))
        url = tomllib.loads((secrets / "callhook.toml").read_text())["database_url"].replace("@database/", f"@127.0.0.1:{server.port}/")
        if CAN_BE_CONFINED:
            run_as_composed(tmp_path, secrets, url, receiver)
        else:
            with Callhook(environment={"CALLHOOK_DATABASE_URL": url, "CALLHOOK_DATABASE_SCHEMA": "callhook"}) as callhook:
                exchange(callhook.port, receiver)
        rights = "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication FROM pg_roles WHERE rolname = 'callhook'"
        asked = ["psql", "--tuples-only", "--no-align", f"--host={server.folder}", f"--port={server.port}", "--username=postgres", f"--command={rights}"]
        assert server.run(*asked).strip() == "f"
    finally:
        server.close()
