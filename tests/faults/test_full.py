"""A full disk: nothing is acknowledged that is not there, sending pauses, and all goes on by itself once there is room."""

import errno
import os
import subprocess
import time
from pathlib import Path

import pytest
import requests

from faults.workload import FLAGS, Workload
from harness import Callhook, wait_until

# What the product promises, and twice as much for the machine that tests it.
BACK_WITHIN_SECONDS = 10


@pytest.fixture
def small_disk(tmp_path):
    """A small file system for the data folder alone; the log of a store grows to 32 MB."""
    folder = tmp_path / "data"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "small", folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """A file that takes all the room but so many bytes."""
    ballast = folder / "ballast"
    with ballast.open("ab") as file:
        while True:
            free = os.statvfs(folder)
            try:
                os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_bsize - leave))
                return ballast
            except OSError as error:
                # Who works there has taken some of it meanwhile.
                if error.errno != errno.ENOSPC:
                    raise


def readiness(callhook: Callhook) -> int:
    return requests.get(f"{callhook.base}/readyz", timeout=10).status_code


@pytest.mark.parametrize("log", ["elsewhere", "beside"])
def test_a_full_disk_is_waited_for_and_nothing_is_lost(receiver, small_disk, note, log):
    folder = small_disk if log == "beside" else small_disk.parent
    with Callhook(*FLAGS, folder=folder) as callhook, Workload(callhook, receiver) as workload:
        ballast = fill(small_disk, leave=600_000)
        workload.start()
        wait_until(lambda: readiness(callhook) == 503, 30, "a full disk")
        body = {"status": "completed", "caller_number": "+13055559876", "tracking_number": "+15735551234"}
        assert callhook.call("POST", "/calls", body, 503).headers["retry-after"]
        acknowledged = len(workload.history.reports)
        # What was in flight has ended by then; its outcomes cannot be kept, so nothing new may begin.
        time.sleep(1)
        received = len(workload.history.receipts)
        time.sleep(1.5)
        assert len(workload.history.receipts) == received, "it went on sending what it could not put on record"
        assert len(workload.history.reports) == acknowledged, "it acknowledged what it could not keep"
        assert callhook.call("GET", "/calls", expect=200), "what is there can be read"
        ballast.unlink()
        freed = time.monotonic()
        wait_until(lambda: readiness(callhook) == 200, BACK_WITHIN_SECONDS, "readiness")
        wait_until(lambda: len(workload.history.receipts) > received, BACK_WITHIN_SECONDS, "sending")
        back = time.monotonic() - freed
        workload.stop()
        assert workload.refused > 0
        workload.judge(note)
        assert not workload.history.doubled(), "no server died: nothing may come twice"
        note(f"{workload.refused} refused, sending {back:.1f} s after there was room")


def test_a_disk_that_is_full_at_the_start_is_told_of_and_waited_for_by_nobody(receiver, small_disk):
    with Callhook(folder=small_disk.parent) as callhook:
        call = callhook.report(callhook.flow(receiver.base))
        callhook.settled(1)
        callhook.kill()
        ballast = fill(small_disk)
        callhook.start(wait=False)
        assert callhook.process.wait(20) == 1
        said = callhook.log_text().strip().splitlines()[-1]
        assert said.startswith("callhook: ") and "full" in said, said
        ballast.unlink()
        callhook.start()
        assert callhook.data("GET", f"/calls/{call['id']}")["call"]["id"] == call["id"]


def test_a_read_only_disk_is_told_of_at_the_start(receiver, small_disk):
    with Callhook(folder=small_disk.parent) as callhook:
        callhook.report(callhook.flow(receiver.base))
        callhook.settled(1)
        callhook.stop()
        callhook.log.close()
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        command = [callhook.binary, "serve", "--data-dir", str(small_disk), "--listen", "127.0.0.1:0"]
        started = subprocess.run(command, env={"CALLHOOK_SECRET_KEY": "x" * 40}, capture_output=True, text=True, timeout=20)
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
        assert started.returncode == 1 and "Read-only file system" in started.stderr, started
        assert len(started.stderr.strip().splitlines()) == 1
