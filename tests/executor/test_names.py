"""What a shell is offered."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from executor.cli import cli
from models.catalog import CATALOG
from planner.cluster import DEVICES, LINKS


def offered(line: str) -> list[tuple[str, str]]:
    """Kind and value of what completes the last word of a line."""
    *words, begun = line.split(" ")
    completion = ShellComplete(cli, {}, "blockcascade", "_BLOCKCASCADE_COMPLETE")
    return [(item.type, item.value) for item in completion.get_completions(words, begun)]


def values(line: str) -> list[str]:
    return [value for _, value in offered(line)]


def test_commands_and_options() -> None:
    assert values("p") == ["plan", "pareto", "profile", "patterns"]
    assert "--pattern" in values("plan --pa")


def test_what_is_built_in() -> None:
    assert values("plan --model ") == list(CATALOG)
    assert values("models kre") == ["krea-realtime-14b"]
    assert offered("models realtime") == [("file", "realtime")], "a spec file, for all one knows"
    assert values("plan --device ") == list(DEVICES)
    assert values("plan --link nv") == [kind for kind in LINKS if kind.startswith("nv")]
    assert values("plan --profile s") == ["shipped"]
    assert "step+decoder" in values("plan --placement step")


def test_patterns_of_the_model_that_is_named() -> None:
    assert values("plan --model krea-realtime-14b --pattern ")[:2] == ["sequential", "cascade:4:live-joint"]
    assert "cascade:3" in values("plan --model causvid-1.3b --pattern cascade:")
    assert "cascade:4" not in values("plan --model causvid-1.3b --pattern cascade:")
    assert "cascade:4" in values("plan --pattern cascade:")
    assert values("plan --model no-such --pattern cas") == []


def test_the_last_of_several() -> None:
    assert values("whatif --device h100,h") == ["h100,h100", "h100,h200"]
    assert values("whatif --model toy,krea") == ["toy,krea-realtime-14b"]


def test_files_where_files_are_read_or_written() -> None:
    for line in ("check ", "plan -o ", "simulate p.json q.json --fit ", "plan --model mine.y"):
        assert [kind for kind, _ in offered(line)] == ["file"], line
    assert [kind for kind, _ in offered("run -o ")] == ["dir"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_the_shell_can_read(shell: str, tmp_path: Path) -> None:
    script = CliRunner().invoke(cli, ["completion", shell]).stdout
    assert "_BLOCKCASCADE_COMPLETE" in script
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    path = tmp_path / "completion"
    path.write_text(script)
    subprocess.run([shell, "-n", str(path)], check=True)


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_bash_completes_a_word_with_a_colon(tmp_path: Path) -> None:
    """As bash calls it: a pattern is one word, though bash's own rules split it at the colon."""
    command = tmp_path / "blockcascade"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m executor.cli "$@"\n')
    command.chmod(0o755)
    script = CliRunner().invoke(cli, ["completion", "bash"]).stdout
    asked = (
        f"PATH={tmp_path}:$PATH\n{script}\n[[ $COMP_WORDBREAKS != *:* ]] || exit 1\n"
        "COMP_WORDS=(blockcascade plan --model toy --pattern cascade:2)\nCOMP_CWORD=5\n"
        '_blockcascade_completion blockcascade\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["cascade:2", "cascade:2:live-causal", "cascade:2:live-joint"]
