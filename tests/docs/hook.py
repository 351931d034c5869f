"""What mkdocs asks while it builds the site: the pages that are made of the software and of files outside docs/."""

from __future__ import annotations

import re
from typing import Any

from mkdocs.structure.files import File, Files

from tests.docs.cli_page import cli_page
from tests.docs.page import ROOT
from tests.docs.reference_page import reference_page

OUTSIDE = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changes.md": "CHANGELOG.md"}


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that no file under docs/ holds."""
    pages = {
        **{page: outside(name) for page, name in OUTSIDE.items()},
        "cli.md": cli_page(),
        "reference.md": reference_page(),
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def outside(name: str) -> str:
    """A page of the checkout's root, its links as seen from docs/; what the site has not is named, not linked."""
    return re.sub(r"\[([^\]]*)\]\(([^)]+)\)", _moved, (ROOT / name).read_text())


def _moved(link: re.Match[str]) -> str:
    text, target = link.groups()
    if target.startswith(("http", "#")):
        return link[0]
    if target.startswith("docs/"):
        return f"[{text}]({target.removeprefix('docs/')})"
    page = next((made for made, source in OUTSIDE.items() if target == source), None)
    return f"{text} (`{target}`)" if page is None else f"[{text}]({page})"
