"""The runner of the cases: which ones run, the note that each may leave, and in a long run one line for each.

A case is a test in this folder. One that takes long is marked `long` and runs in `scripts/faults` alone (`--long`), which skips
what has passed already with the same programs and tests unless `--again` is given.
"""

from pathlib import Path

import pytest

from faults.results import Results

OUTCOMES = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}


@pytest.fixture
def note(record_property):
    """Call it with a few words for the case's line: `note("412 acknowledged, 0 lost")`."""
    return lambda text: record_property("note", text)


def pytest_configure(config):
    config.pluginmanager.register(Runner(config), "faults")


class Runner:
    def __init__(self, config):
        self.is_long = config.getoption("--long")
        self.again = config.getoption("--again")
        self.results = Results()
        self.cases: set[str] = set()
        self.terminal = None

    def pytest_sessionstart(self, session):
        self.terminal = session.config.pluginmanager.getplugin("terminalreporter")

    def pytest_collection_modifyitems(self, config, items):
        cases = [item for item in items if Path(__file__).parent in item.path.parents]
        self.cases = {item.nodeid for item in cases}
        left = self.cases & self.results.passed if self.is_long and not self.again else set()
        if not self.is_long:
            left = {item.nodeid for item in cases if item.get_closest_marker("long")}
        elif left:
            self.terminal.write_line(f"{len(left)} cases have passed before with these programs and tests; --again runs them as well.")
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left])
        items[:] = [item for item in items if item.nodeid not in left]

    def pytest_report_teststatus(self, report):
        # A case has its line, no dot.
        is_whole = report.when == "call" or report.skipped
        return (report.outcome, "", "") if self.is_long and report.nodeid in self.cases and is_whole else None

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report):
        is_last_word = report.when == "call" or not report.passed
        if not self.is_long or report.nodeid not in self.cases or not is_last_word:
            return
        outcome = OUTCOMES[report.outcome]
        notes = [text for name, text in report.user_properties if name == "note"]
        if report.skipped:
            notes.append(report.longrepr[2])
        elif report.failed:
            errors = [line[1:].strip() for line in report.longreprtext.splitlines() if line.startswith("E ")]
            # Of flaws, the first one stands in the line after their number.
            notes.append(" ".join(errors[:2] or ["see below"])[:300])
        note = "; ".join(notes)
        name = report.nodeid.removeprefix("faults/")
        self.terminal.ensure_newline()
        self.terminal.write_line(f"{name:<90} {outcome:<7} {report.duration:7.1f} s  {note}")
        self.results.add(report.nodeid, outcome, report.duration, note)
