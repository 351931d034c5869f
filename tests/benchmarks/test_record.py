"""Records of several benchmarks share a file, and each replaces only its own."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.record import Line, Run, Section, markdown, write


def made(title: str, figure: str) -> str:
    line = Line("a pass", "< 1 ms", figure, True)
    return markdown([Section("Passes", [line])], Run(title, "python -m x", 1.0, 0.5, ("numpy", "no-such-package")))


def test_a_record_replaces_its_own_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "RECORD.md"
    for title, figure in (("One", "1"), ("Two", "2"), ("One", "3")):
        write(made(title, figure), path)
    text = path.read_text()
    assert [line for line in text.splitlines() if line.startswith("# ")] == ["# One", "# Two"]
    assert [line for line in text.splitlines() if "a pass" in line] == [
        "| a pass | < 1 ms | 3 | met |",
        "| a pass | < 1 ms | 2 | met |",
    ]
    write(made("Two", "2"), path)
    assert path.read_text().count("## Passes") == 2
    assert "no-such-package not installed" in text
    assert "\n\n\n" not in path.read_text()
