"""Hypothesis strategies for what happens to a run: all conditions, at times at which the run is still under way."""

from __future__ import annotations

from hypothesis import strategies as st

from planner.conditions import Conditions, Jitter, Outage, Player, SlowLink, Spread, StartUp, Straggler

factors = st.sampled_from([0.5, 1.0, 1.5, 2.2, 3.0])


def spreads() -> st.SearchStrategy[Spread]:
    """None, log-normal or by quantiles."""
    rising = st.lists(st.floats(0.3, 3), min_size=2, max_size=5).map(sorted)
    return st.one_of(
        st.just(Spread()),
        st.builds(Spread, sigma=st.floats(0.01, 1)),
        rising.map(lambda values: Spread(quantiles=tuple(values))),
    )


def jitters() -> st.SearchStrategy[Jitter]:
    drawn = spreads()
    return st.just(Jitter()) | st.builds(Jitter, passes=drawn, side=drawn, transfers=drawn, ranks=drawn, runs=drawn)


@st.composite
def outages(draw: st.DrawFn, rank: int, until_us: int, *, for_good: bool) -> tuple[Outage, ...]:
    """Up to two of a rank that end, and perhaps one that does not."""
    times = sorted(draw(st.sets(st.integers(0, until_us), max_size=5)))
    found = [Outage(rank=rank, at_us=at, back_us=back) for at, back in zip(times[::2], times[1::2], strict=False)]
    if for_good and len(times) % 2:
        found.append(Outage(rank=rank, at_us=times[-1]))
    return tuple(found)


@st.composite
def stragglers(draw: st.DrawFn, ranks: st.SearchStrategy[int], until_us: int) -> Straggler:
    """From the start or from later on, for good or for a time."""
    begin = draw(st.just(0) | st.integers(0, until_us))
    end = draw(st.none() | st.integers(begin + 1, begin + until_us))
    return Straggler(rank=draw(ranks), factor=draw(factors), from_us=begin, until_us=end)


@st.composite
def players(draw: st.DrawFn) -> Player:
    queue = draw(st.none() | st.integers(1, 4))
    return Player(start_blocks=draw(st.integers(1, queue or 4)), queue_blocks=queue)


@st.composite
def conditions(draw: st.DrawFn, ranks: int, makespan_us: int, *, for_good: bool = True) -> Conditions:
    """Of a plan on so many ranks that takes so long; with turns as planned, and any number of posts at once."""
    rank, until = st.integers(0, ranks - 1), max(4, makespan_us)
    straggler = stragglers(rank, until)
    link = st.builds(SlowLink, factor=factors, source=st.none() | rank, target=st.none() | rank)
    start = st.builds(StartUp, ready_us=st.integers(0, until), compile_us=st.integers(0, until), spread=spreads())
    gone = [draw(outages(each, 2 * until, for_good=for_good)) for each in range(ranks) if draw(st.booleans())]
    return Conditions(
        seed=draw(st.integers(0, 5)),
        jitter=draw(jitters()),
        stragglers=tuple(draw(st.lists(straggler, max_size=3))),
        slow_links=tuple(draw(st.lists(link, max_size=2))),
        outages=tuple(outage for found in gone for outage in found),
        start_up=draw(st.just(StartUp()) | start),
        player=draw(players()),
    )
