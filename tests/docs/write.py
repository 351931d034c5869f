"""`python -m tests.docs.write` makes anew what the docs have of the software: schemas, figures, printed output.

The pages of the command line and of the Python names are made whenever the site is built (`make docs`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.docs.figures import draw
from tests.docs.page import DOCS, ROOT, run_page, squeezed
from tests.docs.schemas import FOLDER, KINDS, name_of, schema

PAGES = (*sorted(DOCS.glob("*.md")), ROOT / "CONTRIBUTING.md")


def refreshed(page: Path, folder: Path) -> str:
    """The page with each shown output as it is now."""
    text = page.read_text()
    for block, printed in reversed(run_page(page, folder)):
        if block.output is not None:
            begin, end = block.output_span
            text = "".join((text[:begin], *(f"{line}\n" for line in squeezed(printed)), text[end:]))
    return text


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        (FOLDER / name_of(kind)).write_text(schema(kind))
    draw()
    for page in PAGES:
        with tempfile.TemporaryDirectory() as folder:
            page.write_text(refreshed(page, Path(folder)))


if __name__ == "__main__":
    main()
