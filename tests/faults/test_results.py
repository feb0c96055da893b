"""The runner's memory: what has passed is skipped with the same programs and tests only."""

import pytest

from faults.results import Results


def python_of(folder, **texts: str):
    for name, text in texts.items():
        file = folder / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@pytest.mark.parametrize("texts, is_known", [
    ({"harness": "one", "faults__test_this": "two"}, True),
    ({"harness": "another text", "faults__test_this": "two"}, False),
    ({"harness": "one", "faults__test_this": "another text"}, False),
    ({"harness": "one", "faults__test_this": "two", "faults__new": ""}, False),
], ids=["the same", "a changed harness", "a changed case", "a new file"])
def test_a_case_has_passed_with_the_tests_that_it_passed_with(tmp_path, texts, is_known):
    path = tmp_path / "results.jsonl"
    results = Results(path, python_of(tmp_path / "then", harness="one", faults__test_this="two"))
    results.add("a", "ok", 1.26, "3 doubled")
    results.add("b", "FAILED", 0.1, "")
    assert Results(path, python_of(tmp_path / "now", **texts)).passed == ({"a"} if is_known else set())
