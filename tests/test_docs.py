"""The docs tell the truth: code runs, shown output is what is printed, and what is made is current."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs.blocks import PARSED_ONLY, blocks
from tests.docs.cli_page import cli_page
from tests.docs.figures import FOLDER as FIGURES
from tests.docs.figures import STAIRCASES
from tests.docs.page import DOCS, ROOT, require_options, run_page, squeezed

PAGES = sorted(path.name for path in DOCS.glob("*.md"))
AGAIN = "python -m tests.docs.write makes it anew"


@pytest.mark.parametrize("name", [*PAGES, "../CONTRIBUTING.md"])
def test_what_a_page_shows_is_what_it_does(name: str, tmp_path: Path) -> None:
    for block, printed in run_page(DOCS / name, tmp_path):
        if block.output is not None:
            assert squeezed(printed) == squeezed(block.output), f"{name}: {block.body}{AGAIN}"


def test_every_command_is_on_the_page_of_the_command_line() -> None:
    page = cli_page()
    for command in ("plan", "simulate", "whatif", "capacity", "run"):
        assert f"\n### {command}\n" in page
    assert "| `-o, --output" in page


def test_the_readme_names_commands_and_options_there_are() -> None:
    found = [line for block in blocks((ROOT / "README.md").read_text()) for line in block.lines]
    ours = [line for line in found if line.startswith("blockcascade ")]
    assert len(ours) >= 5
    for line in ours:
        require_options(shlex.split(line, comments=True)[1:])


def test_links_lead_somewhere() -> None:
    made = {"index.md", "cli.md", "reference.md", "contributing.md", "changes.md"}
    for name in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (DOCS / name).read_text()):
            assert target in made or (DOCS / target).exists(), f"{name}: {target}"


def test_the_site_has_every_page() -> None:
    class Loader(yaml.SafeLoader):
        """Knows no tags."""

    site = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)
    listed = set(re.findall(r"[\w-]+\.md", json.dumps(site["nav"])))
    assert set(PAGES) <= listed
    assert site["strict"] is True
    assert site["theme"]["font"] is False


def test_figures_are_there_and_shown() -> None:
    shown = "".join((DOCS / name).read_text() for name in PAGES)
    for name in (*STAIRCASES, "bounds", "run"):
        assert (FIGURES / f"{name}.svg").read_text().startswith("<?xml")
        assert f"figures/{name}.svg" in shown


def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert {page.name for page in pages} >= {name.replace(".md", ".html") for name in PAGES}
    loads = r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=["']?(?:https?:)?//[^"' >]*"""
    assert [found for page in pages for found in re.findall(loads, page.read_text()) if "canonical" not in found] == []
    styles = "".join(path.read_text() for path in tmp_path.rglob("*.css"))
    assert re.findall(r"(?:@import|url\()[^;)]*https?://[^;)]*", styles) == []


# -- the tests' own tools --------------------------------------------------------------------------


def test_blocks_are_found_with_their_output() -> None:
    text = f"""# Page

    blockcascade plan --model toy
    # a comment

```python
print(1)
```

```text
1
```

{PARSED_ONLY}
```sh
blockcascade run \\
    --resume
```

```yaml title="a.yaml"
x: 1
```
"""
    shell, python, long, data = blocks(text)
    assert shell.lines == ["blockcascade plan --model toy", "# a comment"]
    assert (python.body, python.output) == ("print(1)\n", "1\n")
    assert text[slice(*python.output_span)] == "1\n"
    assert long.lines == ["blockcascade run --resume"]
    assert not long.runs
    assert (data.language, data.title) == ("yaml", "a.yaml")


def test_a_page_that_lies_is_caught(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\nblockcascade plan --model no-such-model\n```\n")
    with pytest.raises(AssertionError, match="no-such-model"):
        run_page(page, tmp_path)
    page.write_text("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n")
    ((block, printed),) = run_page(page, tmp_path)
    assert (squeezed(printed), block.output) == (["2"], "3\n")


@pytest.mark.parametrize("words", [["run", "--no-such"], ["nothing"], ["run", "--dtype", "int4"]], ids=" ".join)
def test_options_that_are_not_there_are_caught(words: list[str]) -> None:
    with pytest.raises(AssertionError):
        require_options(words)


# -- the changes that CONTRIBUTING.md shows ----------------------------------------------------------

CHANGES = re.findall(r"```diff\n(.*?)```\n+Tests: `([^`]+)`", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git to apply a diff")
@pytest.mark.parametrize("place", range(3))
def test_a_change_that_is_shown_can_be_made(place: int, tmp_path: Path) -> None:
    change, test = CHANGES[place]
    left = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for folder in ("planner", "models", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=left)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    apply = ["git", "apply", "-"]
    made = subprocess.run(apply, cwd=tmp_path, input=change, text=True, capture_output=True, check=False)
    assert made.returncode == 0, f"{made.stderr}\nthe code has moved on: write the change in CONTRIBUTING.md anew"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", test]
    ran = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False, env=_here(tmp_path))
    assert ran.returncode == 0, ran.stdout


def _here(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return {**kept, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
