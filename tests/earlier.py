"""A store as an earlier callhook has left it, for today's to go on with.

The rows are text, one file for each step of the tables that was ever in use: `sqlite3 callhook.db .dump`, with the address of the
receiver made the one below, and the step at the end. In a database the same rows lie in tables that its own steps have made.
"""

import re
import sqlite3
from pathlib import Path

from harness import ROOT, STORE, Callhook, Received, Receiver, wait_until
from postgres import schema_of, shared_server

ROWS = sorted((ROOT / "tests/stores").glob("step-*.sql"))
DATABASE_STEPS = sorted((ROOT / "crates/store/migrations/postgres").glob("*.sql"))
STEPS = len(list((ROOT / "crates/store/migrations/sqlite").glob("*.sql")))


def rows_of(rows: Path, receiver: Receiver) -> str:
    return rows.read_text().replace("127.0.0.1:1/", f"127.0.0.1:{receiver.port}/")


def in_a_folder(folder: Path, rows: Path, receiver: Receiver):
    """Builds the file with the settings that cannot be changed later."""
    (folder / "data").mkdir()
    database = sqlite3.connect(folder / "data" / "callhook.db")
    database.executescript("PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;")
    database.executescript(rows_of(rows, receiver))
    database.close()


def in_a_database(folder: Path, receiver: Receiver, step: int) -> dict[str, str]:
    """Makes the tables of the first step, fills them, and takes the next steps up to `step`. Answers the environment of a server there."""
    schema = schema_of(folder)
    inserts = [line for line in rows_of(ROWS[0], receiver).splitlines() if line.startswith("INSERT INTO ") and "sqlite_stat" not in line]
    rows = [re.sub(r"\bX'([0-9A-F]*)'", r"'\\x\1'", line) for line in inserts]
    # Rows with numbers of their own do not move what counts them.
    rows.append("SELECT setval(pg_get_serial_sequence('payloads', 'id'), (SELECT max(id) FROM payloads));")
    made = "CREATE TABLE migrations (number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL);"
    done = [f"INSERT INTO migrations VALUES ({number}, '{file.stem}');" for number, file in enumerate(DATABASE_STEPS[:step], 1)]
    first, *later = (file.read_text() for file in DATABASE_STEPS[:step])
    # The rows go by their tables' names, and not by what refers to what.
    script = [f"CREATE SCHEMA {schema}; SET search_path TO {schema}; SET session_replication_role TO replica;", made, first, *rows, *later, *done]
    shared_server().script("\n".join(script))
    return {"CALLHOOK_DATABASE_URL": shared_server().url, "CALLHOOK_DATABASE_SCHEMA": schema}


def in_the_store(folder: Path, receiver: Receiver) -> dict[str, str]:
    """Of the first step, where this run keeps its stores. Answers what the server's environment has to hold beside."""
    if STORE == "postgres":
        return in_a_database(folder, receiver, 1)
    in_a_folder(folder, ROWS[0], receiver)
    return {}


def goes_on(callhook: Callhook, receiver: Receiver):
    """What was there is there, and what was due is sent."""
    calls = {call["source_call_id"]: call for call in callhook.data("GET", "/calls")["calls"]}
    assert set(calls) == {"delivered", "retried", "waiting"}

    arrived = {}

    def arrival(call: dict) -> Received:
        """In whatever order they come."""
        while call["id"] not in arrived:
            received = receiver.next()
            assert received.json["call_id"] not in arrived, "it came twice"
            arrived[received.json["call_id"]] = received
        return arrived[call["id"]]

    # The second attempt is past its time, and carries the header that was sealed then and the body that was frozen then.
    second = arrival(calls["retried"])
    assert second.json["attempt"] == 2
    assert second.headers["x-token"] == "hunter2"
    wait_until(lambda: callhook.deliveries(call_id=calls["retried"]["id"])[0]["status"] == "delivered")
    retried = callhook.delivery(callhook.deliveries(call_id=calls["retried"]["id"])[0]["id"])
    assert [attempt["status_code"] for attempt in retried["attempts"]] == [503, 200]

    # AI ends for what waited, unless its fallback came first: the store may be older than that.
    callhook.call("PUT", f"/calls/{calls['waiting']['id']}/analysis", {"summary": "A roof"}, 200)
    assert arrival(calls["waiting"]).json["attempt"] == 1

    # Keys, numbers, sources, kept responses and tombstones are what they were.
    assert callhook.data("GET", "/numbers")["numbers"][0]["phone_number"] == "+15735551234"
    assert callhook.data("GET", "/sources")["sources"][0]["kind"] == "twilio"
    assert callhook.call("POST", "/calls", {"source_call_id": "erased", "status": "busy", "caller_number": "anonymous",
                                            "tracking_number": "+15735551234"}).status_code == 409
    again = callhook.report(None, 200, source_call_id="delivered", tracking_number="+15735551234")
    assert again["id"] == calls["delivered"]["id"]
    new = callhook.report(None, 201, source_call_id="new", tracking_number="+15735551234")
    assert arrival(new).json["attempt"] == 1
    assert callhook.stop() == 0
