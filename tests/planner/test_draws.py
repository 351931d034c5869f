"""Factors of runs: the same of a run whoever asks, alone or among others, and no number costs more than another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner import draws
from planner.action import Action, Kind
from planner.conditions import Conditions, Jitter, Spread
from planner.draws import CHUNK, Draws
from planner.errors import InputError
from planner.montecarlo import montecarlo
from planner.simulate import simulate
from planner.simulating.required import LAST_RUN
from tests.planner.simulating.plans_by_hand import in_a_row

SPREADS = (Spread(sigma=0.3), Spread(quantiles=(0.5, 1.0, 4.0)))
NUMBERS = st.one_of(st.integers(0, 3 * CHUNK), st.integers(0, LAST_RUN))


def drawn(spread: Spread, first: int, runs: int) -> list[float]:
    found: list[float] = Draws(Jitter(), 7, runs, first).of(spread, "x").tolist()
    return found


@pytest.mark.parametrize("spread", SPREADS)
@given(NUMBERS, st.integers(1, 2 * CHUNK), st.data())
def test_a_run_alone_is_that_run_of_many(spread: Spread, first: int, runs: int, data: st.DataObject) -> None:
    many = drawn(spread, first, runs)
    at = data.draw(st.integers(0, runs - 1))
    assert len(many) == runs
    assert drawn(spread, first + at, 1) == [many[at]]


@pytest.mark.parametrize("spread", SPREADS)
def test_chunks_are_not_alike(spread: Spread) -> None:
    assert len(set(drawn(spread, 0, 4 * CHUNK))) > 4 * CHUNK - 10
    assert abs(np.corrcoef(drawn(spread, 0, CHUNK), drawn(spread, CHUNK, CHUNK))[0, 1]) < 0.1


def test_a_late_run_draws_no_more_numbers_than_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    kept = draws._drawn

    def counted(spread: Spread, key: int, chunk: int, count: int) -> draws.Factors:
        asked.append(count)
        return kept(spread, key, chunk, count)

    monkeypatch.setattr(draws, "_drawn", counted)
    drawn(SPREADS[0], LAST_RUN - 1, 1)
    drawn(SPREADS[0], 10**9, CHUNK)
    assert max(asked) <= CHUNK
    assert len(asked) <= 3


def test_an_action_is_drawn_anew_on_another_rank() -> None:
    of = Draws(Jitter.of(0.1), 0)
    action = Action(Kind.DENOISE, 3, 2)
    assert of.compute(action, 0) == Draws(Jitter.of(0.1), 0).compute(action, 0)
    assert of.compute(action, 0) != of.compute(action, 1)


@pytest.mark.parametrize("run", [-1, LAST_RUN + 1])
def test_what_is_no_number_of_a_run_is_refused(run: int) -> None:
    problem, plan = in_a_row(2)
    with pytest.raises(InputError, match=f"^run: must be 0 to {LAST_RUN}, not {run}"):
        simulate(plan, problem, run=run)
    with pytest.raises(InputError, match=f"^first: must be 0 to {LAST_RUN}, not {run}"):
        montecarlo(plan, problem, runs=1, first=run)


def test_a_late_run_is_simulated_as_it_is_played_among_others() -> None:
    problem, plan = in_a_row(3)
    conditions = Conditions(jitter=Jitter.of(0.3))
    runs = montecarlo(plan, problem, conditions, 4, first=LAST_RUN - 5)
    assert [simulate(plan, problem, conditions, run=LAST_RUN - 5 + at).makespan_us for at in range(4)] == list(
        runs.makespan_us
    )
