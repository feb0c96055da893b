"""The store in PostgreSQL: what a user meets who sets it up wrongly."""

import os
import subprocess
import time

from harness import BINARY, SECRET_KEY, Callhook, free_port
from postgres import shared_server


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
    server.sql("CREATE USER guest")
    assert "permission denied" in refusal(tmp_path, url_with(user="guest"), "--database-schema=guests")
    server.sql("CREATE SCHEMA closed")
    assert "permission denied" in refusal(tmp_path, url_with(user="guest"), "--database-schema=closed")


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
