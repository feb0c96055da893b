"""What has passed already, kept beside the build, so that a long run can be broken off and taken up again."""

import hashlib
import json
import os
from functools import cache
from pathlib import Path

from harness import BINARY, ROOT

TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
FOLDER = TARGET / "faults"
# The same program with its fail points in it: see `crates/failpoint`.
BINARY_WITH_FAIL_POINTS = Path(os.environ.get("CALLHOOK_FAULTS_BINARY") or FOLDER / "callhook")


@cache
def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8] if path.exists() else "none"


class Results:
    """One line a case, appended as it ends. A case counts as passed with the programs and the files of tests that it passed with."""

    def __init__(self, path: Path = FOLDER / "results.jsonl"):
        self.path = path
        self.passed = set()
        if path.exists():
            for line in path.read_text().splitlines():
                result = json.loads(line)
                if result["outcome"] == "ok":
                    self.passed.add((result["of"], result["case"]))

    @staticmethod
    def key(case: str, module: Path) -> tuple[str, str]:
        shared = [path for path in sorted(Path(__file__).parent.glob("*.py")) if not path.name.startswith("test_")]
        return "-".join(map(hash_of, (Path(BINARY), BINARY_WITH_FAIL_POINTS, *shared, module))), case

    def add(self, case: str, module: Path, outcome: str, seconds: float, note: str):
        of, case = self.key(case, module)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({"of": of, "case": case, "outcome": outcome, "seconds": round(seconds, 1), "note": note}) + "\n")
