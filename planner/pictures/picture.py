"""A matplotlib figure without pyplot: nothing stays open, and a notebook shows it. Imported where one is drawn."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from planner.errors import InputError

SCREEN_DPI, FILE_DPI = 120, 150
# What each format would write of the time and the software: left out, so that equal pictures have equal bytes.
_UNDATED = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


class Picture(Figure):
    """A figure of so many inches."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), dpi=SCREEN_DPI, layout="constrained")

    def written(self, path: Path | str | None) -> Picture:
        """Itself, also as a file if there is a path: png, svg or pdf by the suffix, equal bytes for equal pictures.

        Raises InputError if the suffix is unknown or the place cannot be written.
        """
        if path is None:
            return self
        try:
            with mpl.rc_context({"svg.hashsalt": "blockcascade"}):
                self.savefig(path, dpi=FILE_DPI, metadata=_UNDATED.get(Path(path).suffix))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: cannot be written ({error}); name a .png, .svg or .pdf in a folder there is"
            ) from error
        return self

    def _repr_png_(self) -> bytes:
        """What a notebook shows, where pyplot was not imported and has not taught it to."""
        data = BytesIO()
        self.savefig(data, format="png", metadata=_UNDATED[".png"])
        return data.getvalue()
