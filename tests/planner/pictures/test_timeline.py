"""Pictures of timelines: their size, what they show, and the same bytes every time."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from planner.action import Action, TimedAction
from planner.conditions import Conditions, Jitter
from planner.errors import InputError, MismatchError
from planner.pictures.timeline import plot_timeline, plot_timelines
from planner.rows import Rows
from planner.simulate import simulate
from tests.planner.clips import cascade, clip, costed, model, plan_of

PROBLEM = clip(model(2, clean=True), 3, 2)
PLAN = plan_of(costed(PROBLEM, cascade(1)))
TRACE = simulate(PLAN, PROBLEM, Conditions(jitter=Jitter.of(0.3), seed=1))

BLUE, ORANGE, GREY = (0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0xBB, 0xBB, 0xBB)
SAND = (0xDD, 0xCC, 0x77)


def picture(path: Path) -> NDArray[np.uint8]:
    pixels: NDArray[np.float32] = imread(path)
    return np.asarray(np.rint(pixels[..., :3] * 255), dtype=np.uint8)


def share(pixels: NDArray[np.uint8], color: tuple[int, int, int]) -> float:
    return float((pixels == np.array(color, dtype=np.uint8)).all(axis=-1).mean())


def rows_of(*texts: tuple[str, int, int]) -> Rows:
    return (tuple(TimedAction(Action.parse(text), start, end) for text, start, end in texts),)


def test_plan_and_trace_above_one_another(tmp_path: Path) -> None:
    path = tmp_path / "timeline.png"
    plot_timelines({"planned": PLAN.ranks, "simulated": TRACE.ranks}, path)
    both = picture(path)
    plot_timelines({"planned": PLAN.ranks}, path)
    one = picture(path)
    assert both.shape[1] == one.shape[1] == 1800
    assert 300 <= one.shape[0] < both.shape[0] <= 1000
    for pixels in (one, both):
        for color in (BLUE, ORANGE, GREY):
            assert share(pixels, color) > 0.005


def test_a_bar_is_as_long_as_its_action(tmp_path: Path) -> None:
    # Block 0 for six tenths of the time, block 1 for two, and nothing at the end.
    path = tmp_path / "timeline.png"
    rows = rows_of(("denoise b0.s0", 0, 60_000), ("denoise b1.s0", 60_000, 80_000))
    plot_timelines({"": rows}, path, until_us=100_000)
    pixels = picture(path)
    lane = pixels[pixels.shape[0] // 3]
    blue = int((lane == np.array(BLUE, dtype=np.uint8)).all(axis=-1).sum())
    orange = int((lane == np.array(ORANGE, dtype=np.uint8)).all(axis=-1).sum())
    assert 0.7 * 1800 < blue + orange < 0.8 * 1800
    assert blue / orange == pytest.approx(3, rel=0.1)


def test_what_is_written_in_it(tmp_path: Path) -> None:
    """matplotlib draws text as shapes and leaves the words in comments."""
    path = tmp_path / "timeline.svg"
    plot_timelines({"planned": PLAN.ranks, "simulated": TRACE.ranks}, path)
    words = re.findall(r"<!-- (.*?) -->", path.read_text())
    for label in ("0.0", "0.1", "0.c", "0", "2.1", "2"):
        assert words.count(label) >= 2
    assert "2.c" not in words
    assert {"planned", "simulated", "milliseconds", "clean pass", "decode"} <= set(words)
    assert [words.count(f"rank {rank}") for rank in range(3)] == [2, 2, 0]


def test_the_time_scale_can_be_cut(tmp_path: Path) -> None:
    # What begins after the cut is not drawn; what spans it is cut off.
    path = tmp_path / "timeline.png"
    rows = rows_of(("denoise b0.s0", 0, 60_000), ("decode b0", 60_000, 80_000), ("denoise b1.s0", 80_000, 100_000))
    legend = {}
    for until_us in (None, 100_000, 80_000, 50_000):
        plot_timelines({"": rows}, path, until_us=until_us)
        pixels = picture(path)
        legend[until_us] = [round(share(pixels, color), 3) for color in (BLUE, ORANGE, GREY)]
    assert legend[None] == legend[100_000]
    assert legend[80_000][0] > legend[None][0]
    assert legend[80_000][1] == 0 < legend[None][1]
    assert legend[80_000][2] > legend[None][2] > legend[50_000][2]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_same_bytes_every_time(tmp_path: Path, suffix: str) -> None:
    contents = []
    for name in ("one", "other"):
        path = tmp_path / f"{name}.{suffix}"
        plot_timelines({"planned": PLAN.ranks, "simulated": TRACE.ranks}, path)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


def test_a_long_clip_has_no_labels(tmp_path: Path) -> None:
    """Sixty actions in a lane are named, one more are not."""
    sizes = []
    for count in (60, 61):
        path = tmp_path / f"{count}.svg"
        rows = rows_of(*((f"denoise b{block}.s0", block * 1000, block * 1000 + 1000) for block in range(count)))
        plot_timelines({"": rows}, path)
        sizes.append(path.read_text().count("<!-- "))
    assert sizes[0] - sizes[1] >= 59


# -- what several passes share, and what runs beside ---------------------------------------------


def test_passes_that_run_together_lie_above_one_another(tmp_path: Path) -> None:
    """Oldest on top, each as high as the others and as long as the action."""
    path = tmp_path / "timeline.png"
    plot_timelines({"": rows_of(("batch 3.0 b0.s1 b1.s0", 0, 100_000))}, path)
    pixels = picture(path)
    # A column near the left, without labels, above the legend.
    column = pixels[: int(pixels.shape[0] * 0.8), 200]
    blue, orange = (np.flatnonzero((column == np.array(c, dtype=np.uint8)).all(axis=-1)) for c in (BLUE, ORANGE))
    assert blue.max() < orange.min()
    assert len(blue) / len(orange) == pytest.approx(1, rel=0.15)


def test_labels_of_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "timeline.svg"
    texts = [
        "text p7",
        "tick 20 b11.s3 b12.c",
        "tick 21",
        "batch 22.0 b13.s0",
        "slice 23.1 b14.s2 b15.s1",
        "decode b16.d2",
        "encode b17",
        "recache b18",
        "commit b19",
    ]
    rows = rows_of(*((text, at * 1000, at * 1000 + 1000) for at, text in enumerate(texts)))
    plot_timelines({"": rows}, path)
    words = re.findall(r"<!-- (.*?) -->", path.read_text())
    assert {"t7", "11.3", "12.c", "13.0", "14.2", "15.1", "16.d2", "e17", "r18", "19.c"} <= set(words)
    assert {"encode, recache, text"} <= set(words)
    # Neither a tick's number nor a share without passes has a name.
    assert not {"20", "21", "22", "23"} & set(words)


def test_side_work_has_a_colour_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "timeline.png"
    shares = []
    for text in ("recache b1", "denoise b1.s0"):
        plot_timelines({"": rows_of((text, 0, 100_000))}, path)
        shares.append(share(picture(path), SAND))
    assert shares[0] > shares[1] + 0.2


def test_transfers_are_arrows(tmp_path: Path) -> None:
    """From rank to rank, dashed where they stream; none where there are too many actions."""
    path = tmp_path / "timeline.svg"

    def arrows(kind: str, other: str, passes: int) -> tuple[int, int]:
        sender = rows_of((f"{kind} kv b0.s1 to r1", 20, 50), *((f"denoise b{b}.s1", b, b + 1) for b in range(passes)))
        receiver = rows_of((f"{other} kv b0.s1 from r0", 20, 50), ("denoise b1.s0", 30, 60))
        plot_timelines({"": sender + receiver}, path)
        text = path.read_text()
        return text.count("stroke: #000000; stroke-width: 0.5"), text.count("stroke-dasharray: 1.85,0.8")

    whole, streamed = arrows("send", "recv", 60), arrows("stream", "tap", 60)
    assert whole[0] == streamed[0]
    assert streamed[1] > whole[1]
    assert arrows("send", "recv", 61)[0] < whole[0]


def test_plan_and_trace_belong_together(tmp_path: Path) -> None:
    path = tmp_path / "timeline.svg"
    plot_timeline(PLAN, TRACE, path=path)
    words = re.findall(r"<!-- (.*?) -->", path.read_text())
    assert {"planned", "simulated", "critical path", "idle"} <= set(words)
    other = PLAN.model_copy(update={"placement": "block"})
    with pytest.raises(MismatchError, match="run or simulate it again"):
        plot_timeline(other, TRACE, path=path)


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        plot_timelines({"": ((),)}, tmp_path / "a.png")
    with pytest.raises(InputError, match=r"cannot be written .*name a \.png"):
        plot_timelines({"": PLAN.ranks}, tmp_path / "a.nothing")


def test_the_critical_path_is_framed(tmp_path: Path) -> None:
    """In its own colour, and only what is on it: block 1 waits for nobody and nobody waits for it."""
    path = tmp_path / "timeline.png"
    first = rows_of(("denoise b0.s0", 0, 40_000), ("denoise b0.s1", 40_000, 100_000))
    other = rows_of(("denoise b1.s0", 0, 30_000))
    plot_timelines({"": first + other}, path)
    pixels = picture(path)
    red = (pixels == np.array((0xD5, 0x5E, 0x00), dtype=np.uint8)).all(axis=-1)
    lanes = np.flatnonzero(red[: int(len(red) * 0.8)].any(axis=1))
    assert len(lanes)
    assert lanes.max() < 0.45 * len(red)


def test_a_measured_run_is_not_marked() -> None:
    """Frames are drawn of a plan's chain, and none more of a run whose rows do not tell it."""
    problem = clip(model(2), 2, 2, decode=False)
    plan = plan_of(costed(problem, cascade(1), "block"))
    trace = simulate(plan, problem)

    def frames(kind: str) -> list[int]:
        run = trace.model_copy(update={"kind": kind})
        return [sum(not patch.get_fill() for patch in axes.patches) for axes in plot_timeline(plan, run).axes]

    planned, simulated = frames("simulated")
    assert planned == simulated > 0
    assert frames("measured") == [planned, 0]
