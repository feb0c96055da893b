"""The runner's memory: what has passed is skipped with the same programs and test file only."""

from faults.results import Results


def test_a_case_has_passed_with_the_programs_and_the_file_that_it_passed_with(tmp_path):
    module, path = tmp_path / "test_this.py", tmp_path / "results.jsonl"
    module.write_text("one")
    results = Results(path)
    results.add("a", module, "ok", 1.26, "3 doubled")
    results.add("b", module, "FAILED", 0.1, "")
    read = Results(path)
    assert Results.key("a", module) in read.passed
    assert Results.key("b", module) not in read.passed
    other = tmp_path / "test_other.py"
    other.write_text("another text")
    assert Results.key("a", other) not in read.passed
