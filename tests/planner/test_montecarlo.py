"""Many runs at once: each is what the simulation gives of it, and what is told of all is told of each."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from planner.action import TimedAction
from planner.conditions import Conditions, Jitter, Outage, Spread
from planner.errors import InfeasibleError, InputError, MismatchError
from planner.measures import measure
from planner.measuring.blocks import NEVER, block_times
from planner.montecarlo import Runs, Summary, montecarlo, runs_of
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import busy_us
from planner.search import plan
from planner.simulate import simulate
from planner.simulating import maxplus
from planner.simulating.maxplus import Program
from planner.trace import Trace
from tests.planner.by_hand import CASES
from tests.planner.case_by_hand import Case
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.planner.deadlocks import DEADLOCKS, Deadlock
from tests.planner.simulating.conditions_drawn import conditions
from tests.planner.simulating.plans_by_hand import in_a_row, of_case, two_ranks
from tests.strategies import listed, planned

JITTER = Conditions(jitter=Jitter.of(0.3), seed=2)


def require_equal(runs: Runs, number: int, trace: Trace) -> None:
    """The run is the trace's, whatever is known of it."""
    times = block_times(runs.problem, runs.plan, trace.ranks)
    missing = [-1] * (runs.problem.workload.blocks - len(times.finished))
    assert runs.makespan_us[number] == trace.makespan_us
    assert runs.whole[number] == (not trace.stopped)
    begun = np.where(times.begun < NEVER, times.begun, -1)  # a case by hand may leave out blocks
    assert runs.begun_us[number].tolist() == begun.tolist() + missing
    assert runs.clean_us[number].tolist() == times.clean.tolist() + missing
    assert runs.finished_us[number].tolist() == times.finished.tolist() + missing
    assert runs.busy_us[number].tolist() == [busy_us(rows) for rows in trace.ranks]


def drawn_runs(made: tuple[Problem, Plan], drawn: Conditions, runs: int, first: int = 0) -> Runs:
    """Runs under drawn conditions, unless a queue is too short for blocks that are finished out of order."""
    try:
        return montecarlo(made[1], made[0], drawn, runs, first=first)
    except InfeasibleError as refused:
        assume("with player.queue_blocks" not in str(refused))
        raise


# -- equal to the simulation ---------------------------------------------------------------------


@settings(max_examples=40)
@given(st.data(), listed())
def test_each_run_is_the_simulations(data: st.DataObject, made: tuple[Problem, Plan]) -> None:
    problem, given_plan = made
    drawn = data.draw(conditions(problem.cluster.size, given_plan.makespan_us))
    first = data.draw(st.integers(0, 3))
    runs = drawn_runs(made, drawn, 3, first)
    for number in range(3):
        require_equal(runs, number, simulate(given_plan, problem, drawn, run=first + number))


@settings(max_examples=15)
@given(st.data(), planned(min_devices=2, min_blocks=2))
def test_each_run_of_the_planners_plan_is_the_simulations(data: st.DataObject, made: tuple[Problem, Plan]) -> None:
    problem, given_plan = made
    drawn = data.draw(conditions(problem.cluster.size, given_plan.whole_us))
    runs = drawn_runs(made, drawn, 2)
    for number in range(2):
        require_equal(runs, number, simulate(given_plan, problem, drawn, run=number))


@settings(max_examples=25)
@given(listed())
def test_without_conditions_all_runs_are_the_plan(made: tuple[Problem, Plan]) -> None:
    problem, given_plan = made
    runs = montecarlo(given_plan, problem, runs=2)
    assert runs.whole.all()
    assert runs.makespan_us.tolist() == [given_plan.makespan_us] * 2
    assert runs.finished_us.tolist() == [given_plan.finished_us] * 2
    assert runs.busy_us.tolist() == [[busy_us(rows) for rows in given_plan.ranks]] * 2


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_times_by_hand(case: Case) -> None:
    made = of_case(case)
    for drawn in (Conditions(), JITTER):
        require_equal(montecarlo(made, case.problem, drawn, 3), 2, simulate(made, case.problem, drawn, run=2))
    assert montecarlo(made, case.problem, runs=1).makespan_us.tolist() == [made.makespan_us]


@settings(max_examples=12)
@given(st.data(), listed(min_blocks=2))
def test_a_run_alone_is_the_same_as_among_many(data: st.DataObject, made: tuple[Problem, Plan]) -> None:
    problem, given_plan = made
    drawn = data.draw(conditions(problem.cluster.size, given_plan.makespan_us))
    many, again = (drawn_runs(made, drawn, 5) for _ in range(2))
    alone = drawn_runs(made, drawn, 2, 3)
    for whole, same, part in zip(many.played, again.played, alone.played, strict=True):
        assert whole.tobytes() == same.tobytes()
        assert whole[3:].tolist() == part.tolist()


def test_runs_and_seeds_differ() -> None:
    problem, made = two_ranks(denoise_us=(10_000, 15_000))
    makespans = montecarlo(made, problem, JITTER, 50).makespan_us
    others = montecarlo(made, problem, JITTER.model_copy(update={"seed": 3}), 50).makespan_us
    assert len(set(makespans.tolist())) > 45
    assert not (makespans == others).any()


def test_the_trace_of_a_run_is_that_runs() -> None:
    problem, made = two_ranks(denoise_us=(10_000, 15_000))
    runs = montecarlo(made, problem, JITTER, 3, first=4)
    for number in range(3):
        require_equal(runs, number, runs.trace(number))


def test_few_runs_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, made = two_ranks(denoise_us=(10_000, 15_000))
    whole = montecarlo(made, problem, JITTER, 20)
    monkeypatch.setattr(maxplus, "CHUNK_BYTES", 1)
    for all_at_once, one_by_one in zip(whole.played, montecarlo(made, problem, JITTER, 20).played, strict=True):
        assert all_at_once.tobytes() == one_by_one.tobytes()


def test_a_streams_kernel_runs_as_often_as_it_repeats() -> None:
    problem, made = in_a_row(7, repeats=True)
    _, whole = in_a_row(7)
    assert montecarlo(made, problem, runs=1).finished_us.tolist() == [[100, 200, 300, 400, 500, 600, 700]]
    short, long = montecarlo(made, problem, JITTER, 4), montecarlo(whole, problem, JITTER, 4)
    assert short.finished_us.tolist() == long.finished_us.tolist()


def test_a_planned_stream_is_played_in_full() -> None:
    problem = clip(model(2, window=2), 520, 2)
    made = plan(problem, pattern=cascade(2), placement=Placement())
    assert made.repeat is not None
    require_equal(montecarlo(made, problem, JITTER, 2), 1, simulate(made, problem, JITTER, run=1))


def test_a_stopped_run_is_told_apart() -> None:
    problem, made = two_ranks()
    gone = Conditions(outages=(Outage(rank=1, at_us=398),))
    runs = montecarlo(made, problem, gone, 3)
    assert runs.stopped == 3
    assert runs.finished_us.tolist() == [[200, -1]] * 3
    assert runs.makespan_us.tolist() == [398] * 3  # the last that was done: a transfer
    assert runs.range("makespan_us") is None
    assert runs.range("first_frame_us") is None
    attained = runs.range("deadline_attainment")
    assert attained is not None
    assert (attained.runs, attained.p50) == (3, 0.5)
    assert "makespan_us" not in runs.summary().figures
    assert runs.trace(0).stopped


def test_some_runs_stop_and_others_do_not() -> None:
    problem, made = two_ranks()
    gone = Conditions(jitter=Jitter.of(0.3), outages=(Outage(rank=1, at_us=549),))
    runs = montecarlo(made, problem, gone, 200)
    found = runs.range("makespan_us")
    assert found is not None
    assert found.runs == 200 - runs.stopped == int(runs.whole.sum())
    assert 20 < found.runs < 180
    assert found.most <= 549
    assert runs.finished_us[runs.whole].min() > 0
    # A last pass may be over just then, but not what r1 does after it.
    assert set(runs.finished_us[~runs.whole, 1].tolist()) <= {-1, 549}


# -- figures -------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.data(), listed())
def test_figures_are_those_of_each_run(data: st.DataObject, made: tuple[Problem, Plan]) -> None:
    problem, given_plan = made
    drawn = data.draw(conditions(problem.cluster.size, given_plan.makespan_us))
    runs = drawn_runs(made, drawn, 2)
    for number in range(2):
        found = measure(problem, given_plan, runs.trace(number), drawn.player)
        for name, values in runs.figures.items():
            wanted = getattr(found, name)
            assert values[number] == pytest.approx(math.nan if wanted is None else wanted, rel=1e-12, nan_ok=True), name
        assert [rank.busy_us for rank in found.ranks] == runs.busy_us[number].tolist()
        bubbles = [1 - b / s if s else 0.0 for b, s in zip(runs.busy_us[number], runs.span_us[number], strict=True)]
        assert bubbles == pytest.approx([rank.bubble for rank in found.ranks])


def test_a_range_by_hand() -> None:
    """Of a thousand runs 50 lie below `p05` and 50 from `p95` on."""
    problem, made = in_a_row(1)
    uniform = Conditions(jitter=Jitter(passes=Spread(quantiles=(1.0, 101.0))))
    runs = montecarlo(made, problem, uniform, 1000)
    found = runs.range("makespan_us")
    assert found is not None
    values = np.sort(runs.makespan_us).tolist()
    assert (found.runs, found.least, found.most) == (1000, values[0], values[-1])
    assert (found.p05, found.p50, found.p95, found.p99) == (values[50], values[500], values[950], values[990])
    assert found.mean == pytest.approx(5100, rel=0.05)
    assert found.p05 == pytest.approx(600, rel=0.2)
    assert found.p95 == pytest.approx(9600, rel=0.05)


def test_the_summary_is_a_document() -> None:
    problem, made = two_ranks()
    runs = montecarlo(made, problem, JITTER, 20, first=5)
    found = runs.summary()
    assert Summary.from_json(found.to_json()) == found
    assert (found.first, found.runs, found.stopped, found.method) == (5, 20, 0, "max-plus")
    assert found.figures["fps"] == runs.range("fps")
    assert "energy_joules" in found.figures or problem.cluster.devices[0].power_watts is None
    assert len(found.utilization) == 2
    assert found.utilization[0].p50 == float(np.sort(runs.busy_us[:, 0] / runs.makespan_us)[10])


def test_nothing_of_a_result_can_be_written_to() -> None:
    problem, made = two_ranks()
    runs = montecarlo(made, problem, JITTER, 3)
    for array in (*runs.played, *runs.figures.values()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


# -- what cannot be played at once ---------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"turns": "ready"}, {"turns": "fair"}, {"host_slots": 1}], ids=str)
def test_what_differs_from_run_to_run_is_played_one_by_one(changes: dict[str, object]) -> None:
    problem, made = two_ranks()
    drawn = Conditions.model_validate(JITTER.model_dump() | changes)
    runs = montecarlo(made, problem, drawn, 3, first=1)
    assert runs.method == "event by event"
    for number in range(3):
        require_equal(runs, number, simulate(made, problem, drawn, run=1 + number))
    with pytest.raises(InputError, match=f"^conditions: {next(iter(changes))}: .* play such runs one by one"):
        runs_of(Program.of(made, problem), made, problem, drawn, 3)


def test_a_stopped_run_played_one_by_one_is_the_same() -> None:
    problem, made = two_ranks()
    gone = {"outages": [{"rank": 1, "at_us": 398}]}
    slow, quick = (
        montecarlo(made, problem, Conditions.model_validate(gone | {"turns": turns}), 2)
        for turns in ("ready", "planned")
    )
    assert slow.method != quick.method
    for one, other in zip(slow.played, quick.played, strict=True):
        assert one.tolist() == other.tolist()


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("runs", [0, -1, 10**6 + 1])
def test_no_runs_or_too_many_are_refused(runs: int) -> None:
    problem, made = two_ranks()
    with pytest.raises(InputError, match=rf"^runs: must be 1 to 1000000, not {runs}$"):
        montecarlo(made, problem, runs=runs)


@pytest.mark.parametrize(
    ("field", "item"),
    [
        ("stragglers", {"rank": 2, "factor": 2}),
        ("slow_links", {"source": 2, "factor": 2}),
        ("slow_links", {"target": 2, "factor": 2}),
        ("outages", {"rank": 2, "at_us": 0}),
    ],
)
@pytest.mark.parametrize("turns", ["planned", "ready"])
def test_a_rank_that_is_not_there_is_named(field: str, item: dict[str, int], turns: str) -> None:
    problem, made = two_ranks()
    drawn = Conditions.model_validate({field: [item], "turns": turns})
    with pytest.raises(InputError, match=rf"^conditions: {field}: rank 2: the cluster has ranks 0 to 1$"):
        montecarlo(made, problem, drawn, 1)


def test_one_rank_is_named_alone() -> None:
    problem, made = in_a_row(2)
    with pytest.raises(InputError, match=r"rank 1: the cluster has only rank 0$"):
        montecarlo(made, problem, Conditions(outages=(Outage(rank=1, at_us=0),)))


def test_a_stream_too_long_is_refused() -> None:
    problem, made = in_a_row(10**6, repeats=True)
    with pytest.raises(
        InputError, match=r"^plan: 999997 copies of a kernel of 2 actions are too many to play; .* 150000"
    ):
        montecarlo(made, problem)


def test_a_plan_of_another_problem_is_refused() -> None:
    _, made = two_ranks()
    with pytest.raises(MismatchError, match="plan again"):
        montecarlo(made, two_ranks(latency_us=6)[0])


@pytest.mark.parametrize("number", [-1, 3])
def test_a_run_that_is_not_there_has_no_trace(number: int) -> None:
    problem, made = two_ranks()
    with pytest.raises(InputError, match=rf"^run {number}: there are runs 0 to 2$"):
        montecarlo(made, problem, runs=3).trace(number)


def test_an_unknown_figure_is_refused() -> None:
    problem, made = two_ranks()
    with pytest.raises(InputError, match=r"^figure 'speed': is not one of block_latency_us, "):
        montecarlo(made, problem, runs=1).range("speed")


@pytest.mark.parametrize("case", DEADLOCKS.values(), ids=DEADLOCKS)
def test_deadlocks_are_named(case: Deadlock) -> None:
    rows = tuple(tuple(TimedAction(action, 0, 0) for action in actions) for actions in case.actions)
    with pytest.raises(InfeasibleError, match=r"^the plan never finishes: "):
        montecarlo(plan_of(case.costs, rows), case.costs.problem)


def test_sequential_has_no_transfers_to_wait_for() -> None:
    problem = clip(model(2), 3, decode=False)
    made = plan_of(costed(problem, Pattern.sequential(problem.model)))
    assert montecarlo(made, problem, runs=1).makespan_us.tolist() == [made.makespan_us]
