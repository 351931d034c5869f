"""Many things timed in turns: each once a round, warmed up apart, and what does not fit left out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from executor.measuring.rounds import Point, in_rounds
from executor.measuring.timer import HostTimer, timer_of


class Calls:
    """A clock that only counts: what is timed takes its place in the order of all timings."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.timed = 0

    def us(self, call: Callable[[], object]) -> float:
        call()
        self.timed += 1
        return float(self.timed)

    def point(self, name: str, fails: type[Exception] | None = None, after: int = 0) -> Point:
        """One that fails from its call number `after` on."""

        def run() -> None:
            self.done.append(name)
            if fails is not None and self.done.count(name) > after:
                raise fails("out of memory" if fails is not ValueError else "a mistake")

        return Point(name, lambda: run, lambda: self.done.append(f"drop {name}"))


def test_points_take_turns_and_the_warm_up_does_not_count() -> None:
    calls = Calls()
    found = in_rounds([calls.point("a"), calls.point("b")], calls, repeats=3, warm_up=2)
    assert calls.done[:6] == ["a", "a", "a", "b", "b", "b"]
    assert calls.done[6:] == ["a", "b"] * 3
    assert found.times == {"a": [3.0, 5.0, 7.0], "b": [4.0, 6.0, 8.0]}
    assert found.missing == {}


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
@pytest.mark.parametrize("after", [0, 3, 5])
def test_what_does_not_fit_is_left_out_and_the_rest_goes_on(error: type[Exception], after: int) -> None:
    calls = Calls()
    found = in_rounds([calls.point("a"), calls.point("big", error, after), calls.point("c")], calls, repeats=2)
    assert found.missing == {"big": "out of memory"}
    assert {name: len(times) for name, times in found.times.items()} == {"a": 2, "c": 2}
    assert calls.done.count("drop big") == 1


def test_other_errors_are_not_swallowed() -> None:
    calls = Calls()
    with pytest.raises(ValueError, match="mistake"):
        in_rounds([calls.point("a", ValueError)], calls)


def test_time_that_is_up_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock costs a second."""
    seconds = iter(range(1000))
    monkeypatch.setattr("executor.measuring.rounds.time.monotonic", lambda: next(seconds))
    calls = Calls()
    points = [calls.point(name) for name in "abc"]
    assert in_rounds(points, calls, limit_s=2).missing == {"c": "out of time"}
    seconds = iter(range(1000))
    found = in_rounds(points, calls, limit_s=4, repeats=9)
    assert {name: len(times) for name, times in found.times.items()} == {"a": 1, "b": 1, "c": 1}
    assert not found.missing


def test_the_hosts_clock_times_what_is_called() -> None:
    done = []
    assert isinstance(timer_of(torch.device("cpu")), HostTimer)
    assert 0 < HostTimer().us(lambda: done.append(1)) < 10**6
    assert done == [1]
