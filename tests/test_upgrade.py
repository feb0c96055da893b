"""A store that an earlier callhook wrote opens in this one, and goes on where it was.

The stores are text, one for each step of the tables that was ever in use: `sqlite3 callhook.db .dump`, with the address of the
receiver made the one below, and the step at the end.
"""

import re
import sqlite3
from pathlib import Path

import pytest

from harness import ROOT, Callhook, Receiver, wait_until

pytestmark = pytest.mark.embedded

STORES = sorted((ROOT / "tests/stores").glob("step-*.sql"))
STEPS = len(list((ROOT / "crates/store/migrations/sqlite").glob("*.sql")))


def written_before(folder: Path, store: Path, receiver: Receiver):
    """Builds the file with the settings that cannot be changed later."""
    (folder / "data").mkdir()
    database = sqlite3.connect(folder / "data" / "callhook.db")
    database.executescript("PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;")
    database.executescript(store.read_text().replace("127.0.0.1:1/", f"127.0.0.1:{receiver.port}/"))
    database.close()


@pytest.mark.parametrize("store", STORES, ids=lambda path: path.stem)
def test_a_store_of_an_earlier_version_goes_on(store, receiver, tmp_path):
    written_before(tmp_path, store, receiver)
    with Callhook(folder=tmp_path) as callhook:
        calls = {call["source_call_id"]: call for call in callhook.data("GET", "/calls")["calls"]}
        assert set(calls) == {"delivered", "retried", "waiting"}

        # The second attempt is past its time, and carries the header that was sealed then and the body that was frozen then.
        second = receiver.next()
        assert (second.json["attempt"], second.json["call_id"]) == (2, calls["retried"]["id"])
        assert second.headers["x-token"] == "hunter2"
        wait_until(lambda: callhook.deliveries(call_id=calls["retried"]["id"])[0]["status"] == "delivered")
        retried = callhook.delivery(callhook.deliveries(call_id=calls["retried"]["id"])[0]["id"])
        assert [attempt["status_code"] for attempt in retried["attempts"]] == [503, 200]

        # AI ends for what waited, unless its fallback came first: the store may be older than that.
        callhook.call("PUT", f"/calls/{calls['waiting']['id']}/analysis", {"summary": "A roof"}, 200)
        assert receiver.next().json["call_id"] == calls["waiting"]["id"]

        # Keys, numbers, sources, kept responses and tombstones are what they were.
        assert callhook.data("GET", "/numbers")["numbers"][0]["phone_number"] == "+15735551234"
        assert callhook.data("GET", "/sources")["sources"][0]["kind"] == "twilio"
        assert callhook.call("POST", "/calls", {"source_call_id": "erased", "status": "busy", "caller_number": "anonymous",
                                                "tracking_number": "+15735551234"}).status_code == 409
        again = callhook.report(None, 200, source_call_id="delivered", tracking_number="+15735551234")
        assert again["id"] == calls["delivered"]["id"]
        new = callhook.report(None, 201, source_call_id="new", tracking_number="+15735551234")
        assert receiver.next().json["call_id"] == new["id"]
        assert callhook.stop() == 0

    database = sqlite3.connect(tmp_path / "data" / "callhook.db")
    assert database.execute("PRAGMA user_version").fetchone() == (STEPS,)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_an_upgraded_store_has_the_same_tables_as_a_new_one(receiver, tmp_path):
    def tables(path: Path) -> dict[str, str]:
        database = sqlite3.connect(path)
        rows = database.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'").fetchall()
        database.close()
        return {name: re.sub(r"\s+", " ", sql) for name, sql in rows}

    written_before(tmp_path, STORES[0], receiver)
    with Callhook(folder=tmp_path) as upgraded, Callhook() as new:
        assert upgraded.stop() == 0 and new.stop() == 0
        assert tables(upgraded.folder / "data" / "callhook.db") == tables(new.folder / "data" / "callhook.db")


def test_a_store_of_a_newer_version_is_refused_in_one_sentence(tmp_path, receiver):
    written_before(tmp_path, STORES[0], receiver)
    database = sqlite3.connect(tmp_path / "data" / "callhook.db")
    database.execute(f"PRAGMA user_version = {STEPS + 1}")
    database.commit()
    database.close()
    with Callhook(folder=tmp_path, wait=False) as callhook:
        assert callhook.process.wait(20) != 0
        assert "newer callhook" in callhook.log_text() and len(callhook.log_text().strip().splitlines()) == 1
