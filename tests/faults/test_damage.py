"""A damaged store: it is refused at the start with a sentence that says how to restore it, or heard of where the damage is read."""

import os
import random
import shutil
from pathlib import Path

import pytest

from harness import Callhook

PAGE_BYTES = 8192
# A page holds one call of this length, so that a damaged page is one call.
CALL = {"status": "completed", "caller_number": "+13055559876", "transcription": "said " * 1200}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """The data folder of a server that was stopped: all is in one file."""
    folder = tmp_path_factory.mktemp("stopped")
    with Callhook(folder=folder, allow=()) as callhook:
        flow = callhook.flow()
        callhook.data("POST", "/calls/batch", {"calls": [CALL | {"call_flow_id": flow["id"]}] * 200})
        assert callhook.stop() == 0
    return folder / "data"


@pytest.fixture
def folder(stopped, tmp_path) -> Path:
    shutil.copytree(stopped, tmp_path / "data", ignore=shutil.ignore_patterns("*.sock"))
    return tmp_path


def overwrite(at: int, count: int, zeros: bool = False):
    def damage(file: Path):
        with file.open("r+b") as store:
            store.seek(at)
            store.write(bytes(count) if zeros else random.Random(1).randbytes(count))

    return damage


def cut(share: float):
    return lambda file: os.truncate(file, int(file.stat().st_size * share) // PAGE_BYTES * PAGE_BYTES)


def replace_by_folder(file: Path):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage, word", [
    (overwrite(0, 100, zeros=True), "damaged"), (overwrite(0, 100), "damaged"), (overwrite(100, PAGE_BYTES - 100), "damaged"),
    (overwrite(PAGE_BYTES, 60 * PAGE_BYTES), "damaged"), (cut(0.5), "damaged"), (lambda file: os.truncate(file, PAGE_BYTES), "damaged"),
    (lambda file: file.write_text("This is no database. " * 1000), "damaged"),
    (lambda file: os.truncate(file, 0), "gone or empty"), (lambda file: file.unlink(), "gone or empty"), (replace_by_folder, "unable to open"),
], ids=[
    "header of zeros", "header of noise", "first page", "all pages of tables", "half", "one page left", "a text", "empty", "missing", "a folder",
])
def test_a_damaged_store_is_refused_with_the_way_to_restore_it(folder, damage, word):
    damage(folder / "data" / "callhook.db")
    with Callhook(folder=folder, wait=False) as callhook:
        assert callhook.process.wait(20) == 1
        [said] = callhook.log_text().strip().splitlines()
    assert said.startswith("callhook: ") and word in said and str(folder / "data" / "callhook.db") in said, said
    assert word == "unable to open" or "callhook restore" in said, said


@pytest.mark.parametrize("damage", [
    lambda log: log.unlink(missing_ok=True), lambda log: log.write_bytes(b""), lambda log: log.write_bytes(random.Random(1).randbytes(100_000)),
], ids=["missing", "empty", "noise"])
def test_after_a_stop_the_log_beside_the_store_does_not_matter(folder, damage):
    damage(folder / "data" / "callhook.db-wal")
    with Callhook(folder=folder, allow=()) as callhook:
        assert len(callhook.data("GET", "/calls", params={"limit": 500})["calls"]) == 200


def test_a_damaged_page_is_heard_of_where_it_is_read_and_nowhere_else(folder, receiver):
    file = folder / "data" / "callhook.db"
    pages = file.stat().st_size // PAGE_BYTES
    content = file.read_bytes()
    [page, *_] = [page for page in range(pages // 2, pages) if b"said said" in content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]]
    overwrite(page * PAGE_BYTES, PAGE_BYTES)(file)
    with Callhook(folder=folder) as callhook:
        flow = callhook.flow(receiver.base)
        new = [callhook.report(flow)["id"] for _ in range(20)]
        assert {receiver.next().json["call_id"] for _ in new} == set(new)
        listed = callhook.call("GET", "/calls?limit=500")
        assert listed.status_code == 503, "to be tried again, once the store was mended"
        assert "the store is damaged" in callhook.log_text() and "callhook restore" in callhook.log_text(), "the log says what to do"
        assert callhook.call("GET", "/calls?limit=5").status_code == 200, "the latest calls lie on other pages"
        assert len(callhook.settled(20, status="delivered")) == 20
        assert callhook.stop() == 0
