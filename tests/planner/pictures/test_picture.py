"""Pictures as figures: without a path no file, nothing of pyplot's, and a notebook shows them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from planner.pictures.dependencies import plot_dependencies
from planner.pictures.pareto import plot_pareto
from planner.pictures.picture import SCREEN_DPI
from planner.pictures.timeline import plot_timeline, plot_timelines
from tests.planner.clips import cascade, clip, costed, model, plan_of

SPEC = model(2, clean=True)
PLAN = plan_of(costed(clip(SPEC, 3, 2), cascade(1)))
POINTS = [{"devices": 1, "steady_fps": 3.0, "pattern": "sequential"}]
DRAWN: dict[str, Callable[..., Figure]] = {
    "timeline": lambda **how: plot_timeline(PLAN, **how),
    "timelines": lambda **how: plot_timelines({"planned": PLAN.ranks}, **how),
    "dependencies": lambda **how: plot_dependencies(SPEC, cascade(1), **how),
    "pareto": lambda **how: plot_pareto(POINTS, **how),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_with_a_path_and_without(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(DRAWN[name](), Figure)
    assert list(tmp_path.iterdir()) == []
    figure = DRAWN[name](path="a.svg")
    drawn = Path("a.svg").read_bytes()
    assert isinstance(figure, Figure)
    DRAWN[name]().written("a.svg")  # type: ignore[attr-defined]
    assert Path("a.svg").read_bytes() == drawn


@pytest.mark.parametrize("name", DRAWN)
def test_a_notebook_shows_it(name: str) -> None:
    figure = DRAWN[name]()
    data = figure._repr_png_()  # type: ignore[attr-defined]
    width, height = (round(inches * SCREEN_DPI) for inches in figure.get_size_inches())
    shown = imread(BytesIO(data)).shape[:2]
    assert abs(shown[0] - height) <= 1
    assert abs(shown[1] - width) <= 1


def test_pyplot_stays_out_of_it() -> None:
    code = (
        "import sys; from planner.pictures.pareto import plot_pareto\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"plot_pareto({POINTS!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
