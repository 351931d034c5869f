"""When something gets through although ranks are out: against trying every microsecond."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from planner.conditions import Outage
from planner.simulating.outages import Outages

NEVER = 200


@st.composite
def outages(draw: st.DrawFn) -> list[Outage]:
    found = []
    for rank in range(3):
        times = sorted(draw(st.sets(st.integers(0, 60), max_size=5)))
        found += [Outage(rank=rank, at_us=at, back_us=back) for at, back in zip(times[::2], times[1::2], strict=False)]
        if len(times) % 2:
            found.append(Outage(rank=rank, at_us=times[-1]))
    return draw(st.permutations(found))


def is_out(given_outages: list[Outage], ranks: set[int], at: int) -> bool:
    return any(o.rank in ranks and o.at_us <= at < (o.back_us or NEVER) for o in given_outages)


RANKS = st.sets(st.integers(0, 3), min_size=1)


@given(outages(), RANKS, st.integers(0, 80), st.integers(1, 9), st.integers(1, 9))
def test_the_first_time_that_nothing_cuts_it(
    given_outages: list[Outage], ranks: set[int], ready: int, before: int, after: int
) -> None:
    def lasts(start: int) -> int:
        return before if start < 30 else after

    def gets_through(start: int) -> bool:
        return not any(is_out(given_outages, ranks, at) for at in range(start, start + lasts(start)))

    # It begins at once, is cut, and begins anew only when somebody comes back.
    backs = {o.back_us for o in given_outages if o.rank in ranks and o.back_us is not None}
    first = next((at for at in range(ready, NEVER - 20) if (at == ready or at in backs) and gets_through(at)), None)
    expected = None if first is None else (first, first + lasts(first))
    assert Outages(given_outages).attempt(ranks, ready, lasts) == expected


@given(outages(), RANKS, st.integers(0, 80))
def test_who_is_out_comes_back_first(given_outages: list[Outage], ranks: set[int], at: int) -> None:
    awake = next((now for now in range(at, NEVER - 20) if not is_out(given_outages, ranks, now)), None)
    assert Outages(given_outages).awake_us(ranks, at) == awake
    begins = [o.at_us for o in given_outages if o.rank in ranks and o.at_us >= at]
    assert Outages(given_outages).cut_us(ranks, at) == min(begins, default=float("inf"))
