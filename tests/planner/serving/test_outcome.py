"""Figures over sessions."""

from __future__ import annotations

from planner.serving.outcome import Percentiles, Tally, Visited, served
from planner.serving.shown import served_notes


def test_so_many_per_cent_are_this_good_or_better() -> None:
    assert Percentiles.of(range(1, 101)) == Percentiles(p50=51, p95=96, p99=100)
    assert Percentiles.of(range(1, 101), least=True) == Percentiles(p50=50, p95=5, p99=1)
    assert Percentiles.of([]) is None


def test_figures_of_two_sessions_one_turned_away() -> None:
    rows = (
        Visited(number=0, arrival_us=0, group=0, blocks=4, frames=45, in_time=3, stalls=1, stalled_us=10, fps=15.0),
        Visited(number=1, arrival_us=1),
    )
    tally = Tally(visited=rows, slots_us=(500_000,), placed_us=(1_000_000,), most=1, end_us=2_000_000)
    found = served("group:2", [2], [(1.0, 0.5)], 3.6, tally, 0)
    assert (found.arrived, found.turned_away, found.turned_away_share, found.devices) == (2, 1, 0.5, 2)
    assert found.attainment is not None
    assert found.attainment.p95 == 0.75
    assert found.busy == (0.25, 0.125)
    assert found.at_once == 0.5
    # 2 s of 3.6 an hour, for 3 s of video.
    assert found.money == 0.002
    assert found.money_per_minute == 0.04
    assert found.money_per_session_hour == 2.4
    assert (found.control_us, found.unshown) == (None, 0)
    late = served("group:2", [2], [(1.0, 0.5)], 3.6, tally, 1)
    assert (late.counted, late.turned_away_share, late.attainment) == (1, 1.0, None)


def test_changes_that_nothing_shows_are_counted_apart() -> None:
    row = Visited(number=0, arrival_us=0, group=0, blocks=4, frames=45, fps=15.0, control_us=(200_000, None, None))
    found = served(
        "single", [1], [(1.0,)], 1.0, Tally(visited=(row,), slots_us=(1,), placed_us=(1,), most=1, end_us=9), 0
    )
    assert (found.control_us, found.unshown) == (Percentiles(p50=200_000, p95=200_000, p99=200_000), 2)
    assert any("2 prompt changes" in note for note in served_notes(found))
