"""What moves the answer: where it can be reckoned by hand, and that the rest has the right sign."""

from __future__ import annotations

from typing import cast

import pytest

from models.catalog import load_spec
from planner.cluster import Cluster
from planner.errors import InputError
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.sweeping.grid import Grid
from planner.sweeping.sensitivity import Figure, Influence, of_row, sensitivity
from planner.whatif import whatif
from planner.workload import Workload
from tests.planner.sweeping.measured import profile


def influences(count: int, pattern: str, placement: str, figure: Figure = "fps") -> dict[str, Influence]:
    """Of the toy on devices where a pass takes 10 ms and a decode 5."""
    spec = load_spec("toy")
    problem = Problem(
        model=spec,
        cluster=Cluster.of("cpu-core", count),
        workload=Workload(blocks=7),
        profile=profile(spec, 10_000, 5_000),
    )
    found = sensitivity(problem, Pattern.parse(pattern, spec), Placement.parse(placement), figure)
    swings = [item.swing(figure) for item in found]
    assert swings == sorted(swings, reverse=True)
    return {item.name: item for item in found}


def test_one_device_by_hand() -> None:
    """A block is 50 ms of passes and 5 of decoding: their shares of the period are their powers over it."""
    found = influences(1, "sequential", "free")
    assert found["pass time"].elasticity("fps") == pytest.approx(-50 / 55, abs=0.01)
    assert found["decode time"].elasticity("fps") == pytest.approx(-5 / 55, abs=0.01)
    assert found["pass time"].elasticity("money") == pytest.approx(50 / 55, abs=0.01)
    assert found["pass time"].elasticity("first-frame") == pytest.approx(40 / 45, abs=0.01)
    assert found["link bandwidth"].elasticity("fps") == 0
    more = found["block overhead"].more
    assert more is not None
    assert more.fps == pytest.approx(12 / 0.056)
    assert found["block overhead"].elasticity("fps") is None


def test_a_step_more_or_fewer() -> None:
    steps = influences(1, "sequential", "free")["denoise steps"]
    assert steps.less is not None
    assert steps.more is not None
    assert steps.less.fps == pytest.approx(12 / 0.045)
    assert steps.more.fps == pytest.approx(12 / 0.065)
    # All the other changes are a tenth of something; a step is a fifth of the passes.
    assert next(iter(influences(1, "sequential", "free"))) == "denoise steps"


def test_a_device_more_or_fewer() -> None:
    devices = influences(1, "sequential", "free")["devices"]
    assert devices.less is None
    assert devices.more is not None
    assert devices.more.fps == pytest.approx(12 / 0.05)  # the second one decodes meanwhile


def test_what_is_not_critical_has_no_power() -> None:
    """A decoder of its own is idle most of the time."""
    found = influences(2, "sequential", "free+decoder")
    assert found["decode time"].elasticity("fps") == 0
    assert found["pass time"].elasticity("fps") == pytest.approx(-1, abs=0.01)
    first = found["decode time"].elasticity("first-frame")
    assert first is not None
    assert first > 0


def test_gangs_and_messages() -> None:
    gang = influences(2, "cascade:1:live-joint", "block")
    assert gang["tick overhead"].swing("fps") > 0
    latency = gang["link latency"].elasticity("fps")
    assert latency is not None
    assert latency < 0
    assert influences(2, "cascade:1", "step")["posting a message"].swing("fps") > 0
    assert "tick overhead" not in influences(1, "sequential", "free")


def test_of_a_sweeps_row() -> None:
    grid = Grid.from_data({"model": "self-forcing-1.3b", "device": "h100", "count": 2, "price": 7}, "grid")
    (row,) = whatif(grid, workers=1).rows
    found = of_row(grid, row, "money")
    assert found[0].now.fps == pytest.approx(row.figure("steady_fps"))
    assert found[0].now.money == pytest.approx(row.figure("money_per_minute"))


def test_what_cannot_be_asked() -> None:
    grid = Grid.from_data({"model": "wan-14b", "device": "4090"}, "grid")
    (row,) = whatif(grid, workers=1).rows
    with pytest.raises(InputError, match="nothing can run at point 0"):
        of_row(grid, row)
    with pytest.raises(InputError, match="'taste' is none of"):
        influences(1, "sequential", "free", cast("Figure", "taste"))
