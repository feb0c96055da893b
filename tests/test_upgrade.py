"""A store that an earlier callhook wrote opens in this one, and goes on where it was."""

import re
import sqlite3
import threading
from pathlib import Path

import pytest

from earlier import ROWS, STEPS, goes_on, in_a_database, in_a_folder
from harness import Callhook, wait_until
from postgres import schema_of, shared_server

embedded = pytest.mark.embedded


@embedded
@pytest.mark.parametrize("rows", ROWS, ids=lambda path: path.stem)
def test_a_store_of_an_earlier_version_goes_on(rows, receiver, tmp_path):
    in_a_folder(tmp_path, rows, receiver)
    with Callhook(folder=tmp_path) as callhook:
        goes_on(callhook, receiver)

    database = sqlite3.connect(tmp_path / "data" / "callhook.db")
    assert database.execute("PRAGMA user_version").fetchone() == (STEPS,)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


@embedded
def test_an_upgraded_store_has_the_same_tables_as_a_new_one(receiver, tmp_path):
    def tables(path: Path) -> dict[str, str]:
        database = sqlite3.connect(path)
        rows = database.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'").fetchall()
        database.close()
        return {name: re.sub(r"\s+", " ", sql) for name, sql in rows}

    in_a_folder(tmp_path, ROWS[0], receiver)
    with Callhook(folder=tmp_path) as upgraded, Callhook() as new:
        assert upgraded.stop() == 0 and new.stop() == 0
        assert tables(upgraded.folder / "data" / "callhook.db") == tables(new.folder / "data" / "callhook.db")


@embedded
def test_a_store_of_a_newer_version_is_refused_in_one_sentence(tmp_path, receiver):
    in_a_folder(tmp_path, ROWS[0], receiver)
    database = sqlite3.connect(tmp_path / "data" / "callhook.db")
    database.execute(f"PRAGMA user_version = {STEPS + 1}")
    database.commit()
    database.close()
    with Callhook(folder=tmp_path, wait=False) as callhook:
        assert callhook.process.wait(20) != 0
        assert "newer callhook" in callhook.log_text() and len(callhook.log_text().strip().splitlines()) == 1


def version_of(schema: str) -> int:
    return int(shared_server().sql(f"SELECT max(number) FROM {schema}.migrations"))


@pytest.mark.parametrize("step", range(1, STEPS))
def test_a_database_of_an_earlier_version_goes_on(step, receiver, tmp_path):
    environment = in_a_database(tmp_path, receiver, step)
    with Callhook(folder=tmp_path, environment=environment) as callhook:
        goes_on(callhook, receiver)
    assert version_of(schema_of(tmp_path)) == STEPS


def test_an_upgraded_database_has_the_same_tables_as_a_new_one(receiver, tmp_path):
    server, new_schema = shared_server(), f"{schema_of(tmp_path)}_new"

    def tables(schema: str) -> str:
        options = [f"--schema={schema}", "--schema-only", "--username=postgres", f"--port={server.port}", "--host=127.0.0.1", "postgres"]
        dump = server.run("pg_dump", *options).replace(schema, "the_schema")
        # Each dump has a key of its own where pg_dump is new enough.
        return "\n".join(line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))

    environment = in_a_database(tmp_path, receiver, 1)
    with (
        Callhook(folder=tmp_path, environment=environment) as upgraded,
        Callhook(environment=environment | {"CALLHOOK_DATABASE_SCHEMA": new_schema}) as new,
    ):
        assert upgraded.stop() == 0 and new.stop() == 0
        assert tables(schema_of(tmp_path)) == tables(new_schema)


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(receiver, tmp_path):
    environment, schema = in_a_database(tmp_path, receiver, STEPS), schema_of(tmp_path)
    shared_server().sql(f"INSERT INTO {schema}.migrations VALUES ({STEPS + 1}, 'of_tomorrow')")
    with Callhook(folder=tmp_path, environment=environment, wait=False) as callhook:
        assert callhook.process.wait(20) == 1
        assert "newer callhook" in callhook.log_text() and len(callhook.log_text().strip().splitlines()) == 1
    assert version_of(schema) == STEPS + 1
    assert shared_server().sql(f"SELECT count(*) FROM {schema}.holder").strip() == "0", "it may be another's"


def test_a_start_that_is_killed_within_a_step_of_a_database_is_finished_by_the_next(receiver, tmp_path):
    environment, schema, server = in_a_database(tmp_path, receiver, 1), schema_of(tmp_path), shared_server()
    # The third step changes this table, and waits for whoever reads it: the second step is done then, and the third begun.
    reads = threading.Thread(target=server.sql, args=(f"BEGIN; LOCK TABLE {schema}.businesses IN ACCESS SHARE MODE; SELECT pg_sleep(2)",))
    reads.start()
    of_it = f"SELECT count(*) FROM pg_locks WHERE relation = '{schema}.businesses'::regclass AND "
    wait_until(lambda: server.sql(of_it + "granted").strip() == "1", what="the reader")
    with Callhook(folder=tmp_path, environment=environment, wait=False) as callhook:
        wait_until(lambda: server.sql(of_it + "NOT granted").strip() == "1", 2, "a step that waits")
        callhook.kill()
        assert version_of(schema) == 2
        callhook.start(wait=False)
        reads.join()
        callhook.wait_ready()
        goes_on(callhook, receiver)
    assert version_of(schema) == STEPS
