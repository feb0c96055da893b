"""What has passed already, kept beside the build, so that a long run can be broken off and taken up again."""

import hashlib
import json
import os
from functools import cache
from pathlib import Path

from harness import BINARY, ROOT, STORE

TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
FOLDER = TARGET / "faults"
# The same program with its fail points in it: see `crates/failpoint`.
BINARY_WITH_FAIL_POINTS = Path(os.environ.get("CALLHOOK_FAULTS_BINARY") or FOLDER / "callhook")


@cache
def hash_of(path: Path) -> str:
    """Of a file; of a folder, of all Python in it: whatever a case imports is there."""
    if not path.exists():
        return "none"
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(path)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:8]


class Results:
    """One line a case, appended as it ends. A case counts as passed with the programs and the tests that it passed with."""

    def __init__(self, path: Path = FOLDER / "results.jsonl", tests: Path = ROOT / "tests"):
        self.path = path
        self.of = "-".join([STORE, *map(hash_of, (Path(BINARY), BINARY_WITH_FAIL_POINTS, tests))])
        self.passed = set()
        if path.exists():
            for line in path.read_text().splitlines():
                result = json.loads(line)
                if result["outcome"] == "ok" and result["of"] == self.of:
                    self.passed.add(result["case"])

    def add(self, case: str, outcome: str, seconds: float, note: str):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({"of": self.of, "case": case, "outcome": outcome, "seconds": round(seconds, 1), "note": note}) + "\n")
