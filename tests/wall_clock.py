"""A wall clock that a test sets, for a server whose monotonic clock stays true."""

import glob
from pathlib import Path

LIBRARIES = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")


class WallClock:
    """What the wall clock of a process shows, told by a file that faketime looks into each time."""

    def __init__(self, folder: Path):
        assert LIBRARIES, "faketime is missing: scripts/test --prepare installs it"
        self.file = folder / "wall-clock"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": LIBRARIES[0], "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
        }

    def set(self, hours: float):
        draft = self.file.with_suffix(".new")
        draft.write_text(f"{hours * 3600:+.0f}\n")
        draft.rename(self.file)
