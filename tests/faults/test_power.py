"""Loss of power at every sync of a recorded run: whatever was not synced is dropped, kept in part or torn. Nothing that anybody was
told is lost, and every store opens and is whole."""

import random
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from faults import disk
from faults.history import Erasure
from faults.results import BINARY_WITH_FAIL_POINTS
from faults.workload import FLAGS, Workload, pages
from harness import Callhook, Receiver, wait_until

KEPT = ("none", "all", "some", "torn")


@dataclass
class Loss:
    """A moment of a run at which the power may go."""

    disk: disk.Disk
    files: dict[str, bytes]


@dataclass
class Run:
    """What reached the disk and the network, and what was to be erased."""

    events: list[disk.Event]
    erasures: list[Erasure]


def recorded(receiver, folder: Path, seed: int, reports: int) -> Run:
    """A mixed load on an empty folder, a stop and a start in the middle, and several checkpoints. The tests' build makes those often."""
    traces = [folder / "trace-1", folder / "trace-2"]
    data = (folder / "data").resolve()
    recorder = lambda trace: (*disk.STRACE, str(trace))
    with Callhook(*FLAGS, folder=folder, binary=str(BINARY_WITH_FAIL_POINTS), wrapper=recorder(traces[0])) as callhook:
        with Workload(callhook, receiver, seed) as workload:
            # A batch is one request and one commit, however long.
            requests = lambda: len({report.asked_at for report in list(workload.history.reports)})
            workload.start(2)
            wait_until(lambda: requests() >= reports, 60, "enough reports")
            workload.stop()
            assert callhook.stop() == 0
            callhook.wrapper = recorder(traces[1])
            callhook.start()
            before = requests()
            workload.start(2)
            wait_until(lambda: requests() >= before + reports, 60, "enough reports")
            callhook.kill()
            workload.stop()
    is_written = lambda trace: "+++" in trace.read_text().splitlines()[-1]
    for trace in traces:
        wait_until(lambda: is_written(trace), 20, "the end of the recording")
    return Run([event for trace in traces for event in disk.read_trace(trace, data)], list(workload.history.erasures.values()))


def losses(events: list[disk.Event], kept: str, seed: int, every: int):
    """For each sync two: right before it has ended, and right before the next event after it."""
    chance, machine, syncs = random.Random(f"{kept} {seed}"), disk.Disk(), 0
    for event in events:
        if event.kind == "sync":
            syncs += 1
            if syncs % every == 0:
                yield Loss(machine, machine.after_loss(kept, chance))
                machine.take(event)
                yield Loss(machine, machine.after_loss(kept, chance))
                continue
        machine.take(event)


def check(loss: Loss, erasures: list[Erasure], folder: Path):
    shutil.rmtree(folder, ignore_errors=True)
    data = folder / "data"
    data.mkdir(parents=True)
    for name, content in loss.files.items():
        (data / name).write_bytes(content)
    with Callhook(folder=folder, allow=(), binary=str(BINARY_WITH_FAIL_POINTS)) as callhook:
        calls, deliveries = {}, set()
        for call in pages(callhook, "/calls", "calls"):
            calls[call["id"]] = call["summary"]
        for delivery in pages(callhook, "/webhook-deliveries", "webhook_deliveries"):
            deliveries.add(delivery["id"])
        callhook.kill()
    told = loss.disk.told
    to_be_erased = {erasure.call_id for erasure in erasures}
    assert not told.calls.keys() - calls.keys() - to_be_erased, "acknowledged calls are gone"
    assert not {id for id, summary in told.calls.items() if summary and id in calls and calls[id] != summary}, "acknowledged analyses are gone"
    assert not {id for id, call in told.deliveries.items() if call not in to_be_erased} - deliveries, "deliveries that were sent are gone"
    assert not {erasure.call_id for erasure in erasures if erasure.request_id in told.done} & calls.keys(), "erased calls are back"
    with sqlite3.connect(data / "callhook.db") as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store.execute("PRAGMA foreign_key_check").fetchall() == []
    store.close()


def lose_power(run: Run, folder: Path, kept: str, seed: int, syncs_tried: int | None, note):
    events = run.events
    syncs = sum(event.kind == "sync" for event in events)
    every = max(1, syncs // syncs_tried) if syncs_tried else 1
    checkpoints = sum(event.kind == "sync" and event.name == "callhook.db" for event in events)
    states, told, erased = 0, 0, 0
    for loss in losses(events, kept, seed, every):
        check(loss, run.erasures, folder)
        states, told, erased = states + 1, max(told, len(loss.disk.told.calls)), max(erased, len(loss.disk.told.done))
    assert checkpoints > 4 and told > 10 and erased > 0, "the recorded run was too short to mean anything"
    note(f"{syncs} syncs, {checkpoints} of the database file, {told} calls acknowledged: {states} losses of power, 0 calls lost, 0 corrupt")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    with Receiver() as receiver:
        return recorded(receiver, tmp_path_factory.mktemp("recorded"), 1, 50)


@pytest.mark.parametrize("kept", KEPT)
def test_power_is_lost_at_some_syncs(run, tmp_path, kept, note):
    lose_power(run, tmp_path / "found", kept, 1, 5, note)


@pytest.mark.parametrize("kind, name", [("sync", "callhook.db-wal"), ("sync folder", ""), ("sync parent", "")])
def test_a_disk_that_does_not_sync_is_noticed(run, tmp_path, kind, name):
    unsynced = Run([event for event in run.events if (event.kind, event.name) != (kind, name)], run.erasures)
    # Lost, or erased and back: whichever comes first.
    with pytest.raises(AssertionError):
        lose_power(unsynced, tmp_path / "found", "none", 1, 20, print)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kept", KEPT)
def test_power_is_lost_at_every_sync(receiver, tmp_path, kept, seed, note):
    (tmp_path / "recorded").mkdir()
    lose_power(recorded(receiver, tmp_path / "recorded", seed, 80), tmp_path / "found", kept, seed, None, note)
