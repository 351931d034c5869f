"""What is best on so many devices: never worse than on fewer, whatever is asked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.objective import Limits
from planner.sweeping.basis import Basis
from planner.sweeping.best import best
from planner.sweeping.choose import Ask, Choice
from planner.sweeping.grid import Grid
from planner.sweeping.row import Row
from planner.whatif import whatif

VALUES: dict[str, Callable[[Row], float]] = {
    "period": lambda row: row.figure("period_us"),
    "makespan": lambda row: 1 / row.figure("fps"),
    "control": lambda row: row.figure("control_us"),
    "first-frame": lambda row: row.figure("first_frame_us"),
    "money": lambda row: row.figure("money_per_minute"),
}


def rows(**axes: Any) -> tuple[Row, ...]:
    return whatif(Grid.from_data(axes, "grid"), workers=1).rows


def never_worse(found: tuple[Row, ...], value: Callable[[Row], float]) -> bool:
    can = [row for row in found if row.is_possible]
    return found[len(found) - len(can) :] == tuple(can) and all(
        value(more) <= value(fewer) * (1 + 1e-9) for fewer, more in pairwise(can)
    )


@pytest.mark.parametrize("objective", VALUES)
def test_one_more_device_is_never_worse(objective: str) -> None:
    """Those that once were: what seemed best on more devices hid what is best on fewer."""
    for model, device in (("self-forcing-1.3b", "a100"), ("krea-realtime-14b", "h100")):
        assert never_worse(rows(model=model, device=device, count="1-16", objective=objective), VALUES[objective])


@settings(max_examples=20)
@given(
    model=st.sampled_from(["self-forcing-1.3b", "krea-realtime-14b", "longlive-1.3b", "wan-14b"]),
    device=st.sampled_from(["h100", "a100", "l40s", "4090"]),
    objective=st.sampled_from(sorted(VALUES)),
    asked=st.sampled_from(
        [{}, {"pattern": "sequential"}, {"pattern": "cascade:live-joint"}, {"offset": 1}, {"parallel": "ulysses:2"}]
    ),
    steps=st.sampled_from([2, 4]),
    first=st.integers(1, 12),
)
def test_more_devices_are_never_worse(
    model: str, device: str, objective: str, asked: dict[str, Any], steps: int, first: int
) -> None:
    found = rows(
        model=model, device=device, objective=objective, steps=steps, count=f"{first}-{first + 4}", price=2, **asked
    )
    assert never_worse(found, VALUES[objective])


def test_fewer_devices_that_keep_the_limits_stand() -> None:
    """A limit on money that more devices would break: they are left idle."""
    found = rows(model="krea-realtime-14b", device="h100", count="1-8", price=3, limits={"money_per_minute": 0.125})
    assert found[0].is_ok
    assert all(row.is_ok for row in found)
    assert never_worse(found, VALUES["period"])


def test_money_counts_where_it_is_limited() -> None:
    """The same answers are not shared by points of other prices then."""
    cheap, dear = rows(
        model="krea-realtime-14b", device="h100", count=8, price=[1, 6], limits={"money_per_minute": 0.25}
    )
    assert cheap.figure("devices") > dear.figure("devices")


def test_fewer_devices_answered_before_change_nothing() -> None:
    grid = Grid.from_data({"model": "self-forcing-1.3b", "device": "h100", "count": "1-9"}, "grid")
    ask = Ask("period", Limits(), 7, 12, 1.0)
    used, fresh = (Basis(grid.point(0).basis, None) for _ in range(2))
    for count in (3, 9, 5):
        after = best(used, grid.point(count - 1), count, ask)
    alone = best(fresh, grid.point(4), 5, ask)
    assert isinstance(after, Choice)
    assert isinstance(alone, Choice)
    assert (after.candidate, after.merit) == (alone.candidate, alone.merit)
