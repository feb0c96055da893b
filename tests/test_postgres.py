"""The store in PostgreSQL: what a user meets who sets it up wrongly."""

import calendar
import json
import os
import re
import signal
import socket
import subprocess
import time
from urllib.parse import quote

import pytest

from harness import BINARY, ROOT, SECRET_KEY, Callhook, free_port, wait_until
from postgres import Server, binaries, shared_server
from wall_clock import WallClock


def refusal(folder, url: str, *flags: str, seconds: float = 30) -> str:
    """What a start says that fails: one sentence, without a password."""
    command = [BINARY, "serve", "--data-dir", str(folder / "data"), "--listen", f"127.0.0.1:{free_port()}", *flags]
    environment = {"PATH": os.environ["PATH"], "CALLHOOK_SECRET_KEY": SECRET_KEY, "CALLHOOK_DATABASE_URL": url}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
    said = ended.stderr + ended.stdout
    assert ended.returncode == 1 and "hush-hush" not in said and "panicked" not in said, said
    [sentence] = [line for line in ended.stderr.splitlines() if line.startswith("callhook: ")]
    return sentence


def url_with(user: str = "postgres", database: str = "postgres", rest: str = "") -> str:
    return f"postgres://{user}:hush-hush@127.0.0.1:{shared_server().port}/{database}{rest}"


def test_a_url_that_cannot_be_used_is_refused_in_one_sentence(tmp_path):
    assert "postgres://" in refusal(tmp_path, "mysql://root:hush-hush@db/calls")
    assert "name of the database" in refusal(tmp_path, "postgres://root:hush-hush@db")
    assert "sslmode is one of" in refusal(tmp_path, url_with(rest="?sslmode=maybe"))
    assert "does not exist" in refusal(tmp_path, url_with(database="nowhere"))
    assert "pg_hba.conf" in refusal(tmp_path, url_with(user="nobody"))
    assert "small letters" in refusal(tmp_path, url_with(), "--database-schema=Calls")
    assert "TLS" in refusal(tmp_path, url_with(rest="?sslmode=require"))


@pytest.mark.parametrize("password", ["hush-hush%zz", "hush-hush%", "%hush-hush"])
def test_a_broken_escape_is_refused_without_the_password(tmp_path, password):
    sentence = refusal(tmp_path, f"postgres://me:{password}@127.0.0.1:{shared_server().port}/postgres", seconds=5)
    assert "%25" in sentence and "postgres:" not in sentence.removeprefix("callhook: ")


@pytest.mark.parametrize("password", ["hush-hush@PW/#", "PW@hush-hush/x", "PW#hush-hush", "PW?hush-hush"])
def test_a_password_that_is_not_encoded_is_neither_shown_nor_looked_up(tmp_path, password):
    sentence = refusal(tmp_path, f"postgres://me:{password}@127.0.0.1:{shared_server().port}/postgres", seconds=5)
    assert "%40" in sentence and "PW" not in sentence


def test_a_password_is_asked_for_and_never_told(tmp_path):
    server, odd = shared_server(), "hush-hush @/?#%&=:+'\"\\ü"
    quoted = odd.replace("'", "''")
    server.sql(f"CREATE USER sealed PASSWORD '{quoted}'; CREATE SCHEMA sealed AUTHORIZATION sealed")
    server.let_in("host all sealed 127.0.0.1/32 scram-sha-256", "host all all 127.0.0.1/32 trust")
    url = f"postgres://sealed{{}}@127.0.0.1:{server.port}/postgres"
    flags = ["--database-schema=sealed", "--log-level=trace"]
    assert 'password authentication failed for user "sealed"; see user and password' in refusal(tmp_path, url.format(":hush-hush"), *flags, seconds=5)
    assert "password missing" in refusal(tmp_path, url.format(""), *flags, seconds=5)
    store = {"CALLHOOK_DATABASE_URL": url.format(f":{quote(odd, safe='')}"), "CALLHOOK_DATABASE_SCHEMA": "sealed"}
    with Callhook("--log-level=trace", environment=store, folder=tmp_path) as callhook:
        callhook.report(tracking_number="+15735551234")
        assert callhook.stop() == 0
        assert "hush-hush" not in callhook.log_text()


def test_what_cannot_mend_itself_is_refused_at_once(tmp_path):
    port = shared_server().port
    for url, words in [(f"postgres://postgres:hush-hush@127.0.0.1:{port}/postgres?sslmode=require", "TLS"), ("postgres:///postgres", "cannot be connected")]:
        assert words in refusal(tmp_path, url, seconds=5)


def test_tables_that_callhook_may_not_change_are_refused_with_the_way_to_mend_it(tmp_path):
    server = shared_server()
    server.sql("CREATE USER tenant; CREATE SCHEMA rights AUTHORIZATION tenant")
    url, schema = url_with(user="tenant"), "--database-schema=rights"
    environment = {"CALLHOOK_DATABASE_URL": url, "CALLHOOK_DATABASE_SCHEMA": "rights"}
    with Callhook(environment=environment, folder=tmp_path) as callhook:
        callhook.stop()

    def doctor() -> subprocess.CompletedProcess:
        command = [BINARY, "doctor", "--data-dir", str(tmp_path / "data")]
        return subprocess.run(command, env=environment | {"PATH": os.environ["PATH"], "CALLHOOK_SECRET_KEY": SECRET_KEY}, capture_output=True, text=True, timeout=30)

    for harm, mend, words in [
        ("ALTER TABLE rights.attempts OWNER TO postgres; GRANT SELECT ON rights.attempts TO tenant", "ALTER TABLE rights.attempts OWNER TO tenant", "OWNER TO tenant"),
        ("ALTER TABLE rights.payloads RENAME TO gone", "ALTER TABLE rights.gone RENAME TO payloads", "lacks its table payloads"),
        ("UPDATE rights.migrations SET name = 'x' WHERE number = 3", "UPDATE rights.migrations SET name = '0003_retention' WHERE number = 3", "migrations"),
    ]:
        server.sql(harm)
        assert words in refusal(tmp_path, url, schema)
        found = doctor()
        assert found.returncode == 1 and words in found.stdout, found.stdout
        server.sql(mend)
    assert doctor().returncode == 0


def test_of_two_that_start_at_once_on_a_new_schema_one_has_it(tmp_path):
    store = {"CALLHOOK_DATABASE_URL": shared_server().url, "CALLHOOK_DATABASE_SCHEMA": "wanted_by_two"}
    both = [Callhook(environment=store, folder=tmp_path / name, wait=False) for name in ("one", "other") if not (tmp_path / name).mkdir()]
    try:
        wait_until(lambda: [callhook for callhook in both if callhook.process.poll() is not None], what="a refusal")
        [refused], [first] = [[callhook for callhook in both if (callhook.process.poll() is None) is lives] for lives in (False, True)]
        assert refused.process.returncode == 1 and "in use by another callhook" in refused.log_text(), refused.log_text()
        first.wait_ready()
        first.report(tracking_number="+15735551234")
    finally:
        for callhook in both:
            callhook.__exit__()


def test_a_mistyped_schema_and_a_folder_without_a_key_change_nothing(tmp_path):
    server = shared_server()
    environment = {"PATH": os.environ["PATH"], "CALLHOOK_DATABASE_URL": server.url}
    listed = subprocess.run([BINARY, "keys", "list", "--data-dir", str(tmp_path / "a"), "--database-schema=mistyped"], env=environment, capture_output=True, text=True)
    assert listed.returncode == 1 and "no store lies in" in listed.stderr, listed.stderr
    assert server.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'mistyped'").strip() == ""
    with Callhook(environment={"CALLHOOK_DATABASE_URL": server.url, "CALLHOOK_DATABASE_SCHEMA": "keyed"}, folder=tmp_path) as callhook:
        callhook.stop()
    for command in (["serve", "--listen", "127.0.0.1:0"], ["keys", "list"]):
        started = subprocess.run([BINARY, *command, "--data-dir", str(tmp_path / "b"), "--database-schema=keyed"], env=environment, capture_output=True, text=True, timeout=30)
        assert started.returncode == 1 and "secret.key is missing" in started.stderr, started.stderr
    assert not (tmp_path / "b" / "secret.key").exists() and not (tmp_path / "a" / "secret.key").exists()
    doctor = subprocess.run([BINARY, "doctor", "--data-dir", str(tmp_path / "none")], env=environment | {"CALLHOOK_DATABASE_URL": url_with(database="nowhere")}, capture_output=True, text=True)
    assert doctor.returncode == 1 and "does not exist" in doctor.stdout, doctor.stdout


def test_a_database_that_is_not_there_is_waited_for_and_then_named(tmp_path):
    began = time.monotonic()
    sentence = refusal(tmp_path, f"postgres://me:hush-hush@127.0.0.1:{free_port()}/calls")
    assert "calls at 127.0.0.1" in sentence and "cannot be reached" in sentence
    assert time.monotonic() - began >= 10


def test_a_database_that_does_not_fit_is_refused_in_one_sentence(tmp_path):
    server = shared_server()
    server.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    assert "UTF8" in refusal(tmp_path, url_with(database="latin"))
    server.sql("CREATE SCHEMA another; CREATE TABLE another.customers (id BIGINT)")
    assert "not callhook's" in refusal(tmp_path, url_with(), "--database-schema=another")
    server.sql("CREATE SCHEMA newer; CREATE TABLE newer.migrations (number INTEGER, name TEXT); INSERT INTO newer.migrations VALUES (999, 'x')")
    assert "newer callhook" in refusal(tmp_path, url_with(), "--database-schema=newer")


@pytest.mark.parametrize("foreign", [
    "CREATE VIEW {0}.gone AS SELECT 1", "CREATE TYPE {0}.gone AS ENUM ('a')", "CREATE SEQUENCE {0}.gone", "CREATE DOMAIN {0}.gone AS TEXT",
    "CREATE FUNCTION {0}.gone() RETURNS INTEGER LANGUAGE SQL AS 'SELECT 1'", "CREATE MATERIALIZED VIEW {0}.gone AS SELECT 1",
    # As another program's steps are kept.
    "CREATE TABLE {0}.migrations (id INTEGER, migration TEXT)",
])
def test_a_schema_that_holds_anything_of_somebody_else_is_left_alone(tmp_path, foreign):
    server, schema = shared_server(), f"foreign_{abs(hash(foreign))}"
    server.sql(f"CREATE SCHEMA {schema}; {foreign.format(schema)}")
    sentence = refusal(tmp_path, url_with(), f"--database-schema={schema}")
    assert "not callhook's" in sentence and re.search(r"\([a-z ]+ (gone|migrations)(\(\))?\)", sentence), sentence
    assert "not callhook's" in doctor(tmp_path, url_with(), schema).stdout


def test_a_schema_with_rights_for_others_or_an_extension_is_free(tmp_path):
    server = shared_server()
    server.sql("CREATE SCHEMA prepared; CREATE EXTENSION hstore SCHEMA prepared")
    server.sql("ALTER DEFAULT PRIVILEGES IN SCHEMA prepared GRANT SELECT ON TABLES TO PUBLIC")
    with Callhook(environment={"CALLHOOK_DATABASE_URL": url_with(), "CALLHOOK_DATABASE_SCHEMA": "prepared"}, folder=tmp_path) as callhook:
        assert callhook.stop() == 0


def doctor(folder, url: str, schema: str) -> subprocess.CompletedProcess:
    environment = {"PATH": os.environ["PATH"], "CALLHOOK_SECRET_KEY": SECRET_KEY, "CALLHOOK_DATABASE_URL": url, "CALLHOOK_DATABASE_SCHEMA": schema}
    return subprocess.run([BINARY, "doctor", "--data-dir", str(folder / "data")], env=environment, capture_output=True, text=True, timeout=30)


def test_a_missing_right_is_named_with_the_statement_that_gives_it(tmp_path):
    server = shared_server()
    server.sql("CREATE USER guest; CREATE USER host")
    url = url_with(user="guest")

    def mended(schema: str, words: str, mends: str = r"run (.+)$"):
        """What is said does it."""
        sentence = refusal(tmp_path, url, f"--database-schema={schema}")
        assert words in sentence, sentence
        assert sentence.removeprefix("callhook: ") in doctor(tmp_path, url, schema).stdout
        server.sql(re.search(mends, sentence)[1])

    mended("guests", "lacks the right CREATE on the database postgres")
    server.sql("CREATE SCHEMA closed AUTHORIZATION host")
    mended("closed", "is host's, and the user guest lacks the right USAGE and the right CREATE")
    server.sql("CREATE SCHEMA half AUTHORIZATION host; GRANT USAGE ON SCHEMA half TO guest")
    mended("half", "lacks the right CREATE on it")
    for schema in ("guests", "closed", "half"):
        with Callhook(environment={"CALLHOOK_DATABASE_URL": url, "CALLHOOK_DATABASE_SCHEMA": schema}, folder=tmp_path) as callhook:
            assert callhook.stop() == 0
    # Tables of another, in a schema that is open; also where no key is there yet, and it is looked for what may have been made with one.
    server.sql("ALTER TABLE half.migrations OWNER TO host")
    environment = {"PATH": os.environ["PATH"], "CALLHOOK_DATABASE_URL": url, "CALLHOOK_DATABASE_SCHEMA": "half"}
    for command in (["serve", "--listen=127.0.0.1:0"], ["keys", "list"]):
        ended = subprocess.run([BINARY, *command, "--data-dir", str(tmp_path / "new")], env=environment, capture_output=True, text=True, timeout=30)
        assert ended.returncode == 1 and "the tables of the schema half are host's" in ended.stderr, ended.stderr
    mended("half", "may not read them", r"run (ALTER TABLE .+ OWNER TO guest)")
    assert doctor(tmp_path, url, "half").returncode == 0


def test_a_stop_is_heard_while_the_database_is_tried(tmp_path):
    # Nobody listens there, and nobody answers here.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (free_port(), silent.getsockname()[1]):
            for stop in (signal.SIGTERM, signal.SIGINT):
                command = [BINARY, "serve", "--data-dir", str(tmp_path / "data"), "--listen=127.0.0.1:0", "--log-level=debug"]
                environment = {"PATH": os.environ["PATH"], "CALLHOOK_SECRET_KEY": SECRET_KEY, "CALLHOOK_DATABASE_URL": f"postgres://me@127.0.0.1:{port}/calls"}
                starting = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(1)
                since = time.monotonic()
                starting.send_signal(stop)
                assert starting.wait(10) == 0 and time.monotonic() - since < 4


@pytest.mark.parametrize("harm, words", [
    ("DELETE FROM {0}.holder", "its row in the table holder was removed"),
    ("UPDATE {0}.holder SET host = 'elsewhere', process = 42, token = decode(repeat('00', 16), 'hex')", "another callhook (process 42 on elsewhere) has taken the database over"),
], ids=["gone", "taken"])
def test_a_process_whose_place_is_gone_ends_and_says_so(tmp_path, receiver, harm, words):
    server, schema = shared_server(), f"displaced_{len(harm)}"
    receiver.answer = lambda received: (time.sleep(3), (200, {}, b""))[1]
    environment = {"CALLHOOK_DATABASE_URL": server.url, "CALLHOOK_DATABASE_SCHEMA": schema}
    with Callhook(environment=environment, folder=tmp_path) as callhook:
        call = callhook.report(callhook.flow(receiver.base))
        receiver.next()
        since = time.monotonic()
        server.sql(harm.format(schema))
        assert callhook.process.wait(15) == 1
        assert time.monotonic() - since < 3, "what cannot be recorded is not waited for"
        last = callhook.log_text().splitlines()[-1]
        assert last.startswith("callhook: ") and words in last and "started anew" in last, last
        # What a supervisor does next; the other one's place is free when it was silent for long enough.
        server.sql(f"DELETE FROM {schema}.holder")
        receiver.answer = lambda received: (200, {}, b"")
        callhook.start()
        [delivery] = callhook.settled(1)
        assert delivery["call_id"] == call["id"] and delivery["status"] == "delivered"


def test_the_doctor_sees_that_the_server_works_on_another_store(tmp_path):
    server = shared_server()
    server.sql("CREATE SCHEMA unused")
    with Callhook(environment={"CALLHOOK_DATABASE_URL": server.url, "CALLHOOK_DATABASE_SCHEMA": "worked_on"}, folder=tmp_path) as callhook:
        # Other words for the same place.
        same = doctor(tmp_path, server.url.replace("127.0.0.1", "localhost"), "worked_on")
        assert same.returncode == 0, same.stdout
        other = doctor(tmp_path, server.url, "unused")
        assert other.returncode == 1 and "store in use" in other.stdout and "schema worked_on" in other.stdout, other.stdout
        in_folder = subprocess.run([BINARY, "doctor", "--data-dir", str(tmp_path / "data")], env={"PATH": os.environ["PATH"], "CALLHOOK_SECRET_KEY": SECRET_KEY}, capture_output=True, text=True)
        assert in_folder.returncode == 1 and "schema worked_on" in in_folder.stdout, in_folder.stdout
        assert callhook.stop() == 0
    in_folder = tmp_path / "folder"
    in_folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CALLHOOK_")} | {"CALLHOOK_SECRET_KEY": SECRET_KEY}
    port = free_port()
    with open(in_folder / "log", "wb") as log:
        embedded = subprocess.Popen([BINARY, "serve", "--data-dir", str(in_folder / "data"), f"--listen=127.0.0.1:{port}"], env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: (in_folder / "data" / "callhook.sock").exists())
        found = doctor(in_folder, server.url, "worked_on")
        assert found.returncode == 1 and f"has its store in {in_folder}/data" in found.stdout, found.stdout
    finally:
        embedded.terminate()
        embedded.wait(20)


def test_its_owner_needs_no_right_but_to_the_schema(tmp_path):
    server = shared_server()
    server.sql("CREATE USER owner; CREATE SCHEMA owned AUTHORIZATION owner")
    environment = {"CALLHOOK_DATABASE_URL": url_with(user="owner"), "CALLHOOK_DATABASE_SCHEMA": "owned"}
    with Callhook(environment=environment, folder=tmp_path) as callhook:
        assert callhook.data("GET", "/business")["business"]["name"] == "default"
        assert "hush-hush" not in callhook.log_text()


def test_the_demo_plays_in_a_schema_of_its_own_and_in_none_that_holds_a_store(tmp_path):
    server = shared_server()
    # Where a server runs the variables name its store, which is not to be played in.
    environment = {"TMPDIR": str(tmp_path), "CALLHOOK_DATABASE_URL": server.url, "CALLHOOK_DATABASE_SCHEMA": "not_for_playing"}

    def demo(*flags: str) -> subprocess.CompletedProcess:
        return subprocess.run([BINARY, "demo", "--once", *flags], env=environment, capture_output=True, text=True, timeout=90)

    played = demo(f"--database-url={server.url}")
    assert played.returncode == 0 and "Every delivery ended as it had to" in played.stdout, played.stdout + played.stderr
    assert "DROP SCHEMA callhook_demo" in played.stdout, "it says what it leaves"
    assert int(server.sql("SELECT count(*) FROM callhook_demo.deliveries WHERE status = 'delivered'")) > 0
    assert server.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'not_for_playing'").strip() == ""
    assert list(tmp_path.iterdir()) == [], "its folder goes with it"
    again = demo(f"--database-url={server.url}")
    assert again.returncode == 1 and "callhook_demo holds a store already" in again.stderr, again.stderr
    alone = demo("--database-schema=not_for_playing")
    assert alone.returncode == 1 and "needs --database-url" in alone.stderr, alone.stderr


def durability(folder, url: str, schema: str) -> tuple[str, str]:
    """What the doctor says of it."""
    environment = {"PATH": os.environ["PATH"], "CALLHOOK_SECRET_KEY": SECRET_KEY, "CALLHOOK_DATABASE_URL": url, "CALLHOOK_DATABASE_SCHEMA": schema}
    command = [BINARY, "doctor", "--json", "--data-dir", str(folder / "data")]
    checks = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30).stdout)["checks"]
    [found] = [check for check in checks if check["check"] == "durability"]
    return found["level"], found["text"]


def test_the_start_and_the_doctor_say_what_the_servers_settings_mean(tmp_path):
    server = shared_server()
    server.sql("CREATE USER hasty; ALTER USER hasty SET synchronous_commit = off; CREATE SCHEMA hasty AUTHORIZATION hasty")
    url = url_with(user="hasty")
    with Callhook(environment={"CALLHOOK_DATABASE_URL": url, "CALLHOOK_DATABASE_SCHEMA": "hasty"}, folder=tmp_path) as callhook:
        log = callhook.log_text().splitlines()
        # The tests' own server syncs nothing.
        assert any("WARN" in line and "fsync = on" in line for line in log), log
        assert any("INFO" in line and "synchronous_commit = off" in line and "no synchronous standby" in line for line in log), log
        level, text = durability(tmp_path, url, "hasty")
        assert level == "warning" and "fsync = on" in text and "synchronous_commit = off" in text


@pytest.mark.parametrize("synchronous_commit, level, words", [
    ("on", "ok", "of its synchronous standbys (ANY 1 (a, b))"), ("remote_write", "warning", "fail together"), ("local", "warning", "failover"),
])
def test_the_doctor_says_what_a_standby_has(tmp_path, synchronous_commit, level, words):
    (tmp_path / "data").mkdir()
    server = Server(free_port(), synchronous_standby_names="ANY 1 (a, b)", synchronous_commit=synchronous_commit)
    try:
        found, text = durability(tmp_path, server.url, "calls")
        assert found == level and words in text
    finally:
        server.close()


def test_a_database_is_set_up_copied_and_restored_as_the_page_says(tmp_path, receiver):
    page = (ROOT / "docs/postgresql.md").read_text()
    setup = re.search(r"^  ```sql\n(.+?)^  ```$", page, re.MULTILINE | re.DOTALL)[1]
    [dump] = re.findall(r"^ *pg_dump .+$", page, re.MULTILINE)
    [restore] = re.findall(r"^pg_restore .+$", page, re.MULTILINE)
    [pause] = re.findall(r"^INSERT INTO callhook\.meta .+?;$", page, re.MULTILINE)
    server = shared_server()
    admin = {"PATH": f"{binaries()}:{os.environ['PATH']}", "PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres"}
    shell = lambda command: subprocess.run(["sh", "-c", command], env=admin, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    store = {"CALLHOOK_DATABASE_URL": f"postgres://callhook@127.0.0.1:{server.port}/callhook"}
    receiver.answer = lambda received: (503, {}, b"")
    server.script(setup)
    with Callhook("--retry-delays=1s,1s", environment=store, folder=tmp_path) as callhook:
        callhook.report(callhook.flow(receiver.base))
        receiver.next()
        wait_until(lambda: callhook.deliveries(error="http_503"), what="the outcome")
        assert shell(dump).returncode == 0
        callhook.kill()
    # Another server, which has neither.
    server.sql("DROP DATABASE callhook")
    server.sql("DROP USER callhook")
    server.script(setup)
    assert "already exists" in shell(restore).stderr, "whoever makes the schema as well is told so"
    server.script("\\c callhook\nDROP SCHEMA callhook")
    restored = shell(restore)
    assert restored.returncode == 0 and restored.stderr == ""
    server.script(f"\\c callhook\n{pause}")
    receiver.answer = lambda received: (200, {}, b"")
    seen = len(receiver.requests)
    second = tmp_path / "second"
    second.mkdir()
    with Callhook(environment=store, folder=second) as callhook:
        assert callhook.session.get(f"{callhook.base}/readyz", timeout=10).json()["data"]["sending_paused"]
        time.sleep(2)
        assert len(receiver.requests) == seen, "it sends before it may"
        command = [BINARY, "resume", "--data-dir", str(callhook.folder / "data")]
        subprocess.run(command, env={"PATH": os.environ["PATH"], **store}, check=True, capture_output=True)
        callhook.settled(1)
        assert len(receiver.requests) == seen + 1


@pytest.mark.parametrize("hours", [5, -5])
def test_times_are_the_databases_whatever_this_machines_clock_says(receiver, tmp_path, hours):
    wall_clock = WallClock(tmp_path)
    wall_clock.set(hours)
    store = {"CALLHOOK_DATABASE_URL": shared_server().url, "CALLHOOK_DATABASE_SCHEMA": f"clock_{hours + 5}"}
    with Callhook(environment=wall_clock.environment | store, folder=tmp_path) as callhook:
        flow = callhook.flow(receiver.base)
        call = callhook.report(flow)
        reported_at = calendar.timegm(time.strptime(call["reported_at"], "%Y-%m-%dT%H:%M:%SZ"))
        assert abs(reported_at - time.time()) < 5
        delivery = callhook.settled(1)[0]
        delivered_at = calendar.timegm(time.strptime(delivery["delivered_at"][:19], "%Y-%m-%dT%H:%M:%S"))
        assert abs(delivered_at - time.time()) < 10
        assert "WARN" in callhook.log_text() and "differs from this machine's" in callhook.log_text()
