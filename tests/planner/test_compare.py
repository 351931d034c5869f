"""Two plans, two runs, a plan and its run: what differs, side by side, and why; the parts sum to the whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.compare import Comparison, Side, compare
from planner.comparing.differing import Differing, inputs
from planner.comparing.sides import sides
from planner.comparing.table import measure_rows, part_rows, path_rows, work_rows
from planner.comparing.work import Stretch, Work
from planner.conditions import Conditions, Jitter, Player
from planner.errors import InputError, MismatchError
from planner.measures import measure
from planner.measuring.labels import LABELS
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.replaying.followed import follow
from planner.search import plan
from planner.simulate import simulate
from planner.trace import Trace
from tests.planner.calibrating.test_losses import LATER, scattered
from tests.planner.clips import cascade, clip, model
from tests.planner.hand_plans import BY_HAND
from tests.planner.runs_by_hand import changed, hand_made, trace_of
from tests.strategies import listed

SLOW_PASS = (("r1 209 359 denoise", "r1 209 459 denoise"), *LATER)
SLOW_DECODE = (
    ("r0 370 430 decode b1", "r0 370 460 decode b1"),
    ("r0 430 430 free latents b1", "r0 460 460 free latents b1"),
)
SLOW_LINK = (
    ("r0 100 209 send", "r0 100 309 send"),
    ("r1 100 209 recv", "r1 100 309 recv"),
    ("r0 209 209 free kv", "r0 309 309 free kv"),
    ("r1 209 359 denoise", "r1 309 459 denoise"),
    *LATER,
)
LATE_START = (("r1 209 359 denoise", "r1 309 459 denoise"), *LATER)


def side(*changes: tuple[str, str]) -> Side:
    """The plan by hand, or a run of it in which some rows were otherwise."""
    problem, made = hand_made("decoded")
    trace = trace_of(made, changed(BY_HAND["decoded"][1], *changes)) if changes else None
    return Side("run" if changes else "plan", problem, made, trace)


def as_run(problem: Problem, made: Plan, sigma: float, seed: int) -> Side:
    return Side(
        f"seed {seed}",
        problem,
        made,
        simulate(made, problem, Conditions(jitter=Jitter.of(sigma), seed=seed, turns="ready")),
    )


def causes(found: Comparison) -> dict[str, int]:
    return {part.cause: part.makespan_us for part in found.parts if part.makespan_us}


def sums_hold(found: Comparison) -> None:
    one, other = found.measures
    assert sum(part.makespan_us for part in found.parts) == other.makespan_us - one.makespan_us
    if one.period_us is not None and one.blocks > 1 and min(one.period_us, other.period_us or 0) > 1:
        steady = sum(part.steady_us for part in found.parts) / (one.blocks - 1)
        assert steady == pytest.approx((other.period_us or 0) - one.period_us)


# -- one plan ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (SLOW_PASS, {"slow pass": 100}),
        (SLOW_LINK, {"exposed transfer": 100}),
        (LATE_START, {"launch gaps": 100}),
    ],
)
def test_why_a_run_was_longer_than_its_plan(changes: tuple[tuple[str, str], ...], parts: dict[str, int]) -> None:
    found = compare(side(), side(*changes))
    assert found.compared == "plan against trace"
    assert causes(found) == parts
    assert (found.inputs, found.schedule) == ((), ())
    sums_hold(found)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (SLOW_PASS, {"decode": -30, "denoise": 100}),
        (SLOW_LINK, {"decode": -30, "transfers": 100}),
        (LATE_START, {"decode": -30, "launch gaps": 100}),
    ],
)
def test_why_one_run_was_longer_than_another(changes: tuple[tuple[str, str], ...], parts: dict[str, int]) -> None:
    """From a run whose last decode took 30 longer to one in which something else did."""
    found = compare(side(*SLOW_DECODE), side(*changes))
    assert found.compared == "two traces"
    assert causes(found) == parts
    sums_hold(found)
    back = compare(side(*changes), side(*SLOW_DECODE))
    assert causes(back) == {cause: -us for cause, us in parts.items()}


def test_the_plan_comes_first_whichever_was_named_first() -> None:
    assert compare(side(*SLOW_PASS), side()) == compare(side(), side(*SLOW_PASS))


def test_a_run_against_itself_differs_in_nothing() -> None:
    found = compare(side(*SLOW_PASS), side(*SLOW_PASS))
    assert causes(found) == {}
    assert found.measures[0] == found.measures[1]


@settings(max_examples=25)
@given(listed(), st.integers(0, 50))
def test_parts_sum_to_the_whole(made: tuple[Problem, Plan], seed: int) -> None:
    problem, given_plan = made
    one, other = (as_run(problem, given_plan, 0.3, seed + more) for more in range(2))
    found = compare(one, other)
    sums_hold(found)
    if not given_plan.pattern.is_live:
        assert not causes(found).keys() & {"posting", "waiting for data", "launch gaps", "rest"}
    assert Comparison.from_json(found.to_json()) == found
    sums_hold(compare(Side("plan", problem, given_plan), other))


def test_another_order_on_a_shared_link_is_put_down_to_transfers() -> None:
    """Three ranks on one bus: who is ready first differs from run to run."""
    problem = clip(model(2), 8, 3, decode=False, measured={"link_sharing": "bus"})
    made = plan(problem, pattern=cascade(1), placement=Placement.parse("block"))
    runs = [as_run(problem, made, 0.5, seed) for seed in range(6)]
    orders = {follow(problem, made, run.trace).assumed.after for run in runs if run.trace is not None}
    assert len(orders) > 1
    for one, other in pairwise(runs):
        found = compare(one, other)
        sums_hold(found)
        assert not causes(found).keys() & {"posting", "waiting for data", "launch gaps", "rest"}


@settings(max_examples=25)
@given(listed(), st.integers(0, 99))
def test_parts_sum_to_the_whole_whatever_the_traces_say(made: tuple[Problem, Plan], seed: int) -> None:
    problem, given_plan = made
    one, other = (Side("", problem, given_plan, scattered(given_plan, "measured", seed + more)) for more in range(2))
    found = compare(one, other).parts
    assert one.trace is not None
    assert other.trace is not None
    assert sum(part.makespan_us for part in found) == other.trace.makespan_us - one.trace.makespan_us
    steady = [trace.finished_us[-1] - trace.finished_us[0] for trace in (one.trace, other.trace)]
    assert sum(part.steady_us for part in found) == steady[1] - steady[0]


# -- two plans -----------------------------------------------------------------------------------


def two() -> tuple[Side, Side]:
    made = []
    for ranks, pattern in ((1, None), (2, cascade(1))):
        problem = clip(model(2, clean=True), 3, ranks)
        made.append(Side(f"{ranks} rank(s)", problem, plan(problem, pattern=pattern)))
    return made[0], made[1]


def test_two_plans() -> None:
    one, other = two()
    found = compare(one, other)
    assert found.compared == "two plans"
    assert found.inputs == (Differing(path="cluster.devices.count", one="1", other="2"),)
    assert Differing(path="pattern", one=str(one.plan.pattern), other="cascade:1") in found.schedule
    assert found.measures == tuple(measure(s.problem, s.plan) for s in (one, other))
    assert found.parts == ()
    # Reading costs the same whoever does it: 100 us without context, then 150 and 200; the last block is not committed.
    assert found.work[1] == Work(kind="commit", one_count=2, one_us=160, other_count=2, other_us=160)
    assert found.work[0].one_count == 6
    assert found.path[0] == Stretch(what="denoise", one_us=found.work[0].one_us, other_us=found.path[0].other_us)
    for at, told in enumerate(found.measures):
        assert sum((part.one_us, part.other_us)[at] for part in found.path) == told.makespan_us
    assert found.exposed_us is not None
    assert found.exposed_us[0] == 0 < found.exposed_us[1]


def test_streams_too_long_to_replay_have_no_path() -> None:
    made = []
    for blocks in (200, 10**5):
        problem = clip(model(2, clean=True, window=3), blocks, 2)
        made.append(Side(f"{blocks} blocks", problem, plan(problem, pattern=cascade(1))))
    short, long = made
    found = compare(short, long)
    assert (found.path, found.exposed_us, found.parts) == ((), None, ())
    assert [work.other_count for work in found.work] == [2 * 10**5, 10**5 - 1, 10**5]
    assert [work.one_count for work in found.work] == [400, 199, 200]
    assert list(path_rows(found)) == []
    busy = [sum(rank.busy_us for rank in told.ranks) for told in found.measures]
    assert busy == [sum(work.one_us for work in found.work), sum(work.other_us for work in found.work)]
    assert compare(short, short).path


def test_a_plan_and_the_run_of_another() -> None:
    one, other = two()
    run = as_run(other.problem, other.plan, 0.1, 3)
    assert compare(one, run).compared == "two plans, one of them run"
    assert compare(as_run(one.problem, one.plan, 0.1, 3), run).compared == "traces of two plans"
    assert compare(run, one).names == ("seed 3", "1 rank(s)")
    assert compare(one, run).parts == ()


def test_inputs_are_told_by_their_paths() -> None:
    one = clip(model(2), 3, 2)
    device = one.cluster.devices[1].model_copy(update={"price_per_hour": 9.0})
    cluster = one.cluster.model_copy(update={"devices": (one.cluster.devices[0], device)})
    other = one.model_copy(update={"cluster": cluster, "profile": None})
    found = compare(Side("", one, plan(one)), Side("", other, plan(other))).inputs
    told = {item.path: (item.one, item.other) for item in found}
    assert told["cluster.devices.1.price_per_hour"] == ("0.05", "9.0")
    assert "cluster.devices.0.price_per_hour" not in told
    assert told["profile"][1] == "-"
    assert len(told["profile"][0]) <= 60
    dear = one.model_copy(update={"cluster": one.cluster.model_copy(update={"devices": (device, device)})})
    found = compare(Side("", one, plan(one)), Side("", dear, plan(dear))).inputs
    assert found == (Differing(path="cluster.devices.each.price_per_hour", one="0.05", other="9.0"),)


def test_a_field_that_only_one_side_names_is_told() -> None:
    one = clip(model(2), 3, 2)
    packed = one.model_copy(update={"kv_transfer": "fp8"})
    assert inputs(one, packed) == (Differing(path="kv_transfer", one="-", other="fp8"),)
    assert inputs(packed, one) == (Differing(path="kv_transfer", one="fp8", other="-"),)
    assert inputs(one, one) == ()


def test_the_player_is_as_asked() -> None:
    found = compare(*two(), Player(start_blocks=3))
    assert [told.player.start_blocks for told in found.measures] == [3, 3]
    assert found.measures[0].play_start_us == found.measures[0].makespan_us


# -- text ----------------------------------------------------------------------------------------


def test_all_of_it_has_a_text() -> None:
    found = compare(*two())
    rows = list(measure_rows(found))
    assert [row[0] for row in rows[: len(LABELS)]] == [label.label for label in LABELS]
    told = {row[0]: row[1:] for row in rows}
    assert told["makespan"][2] == f"{found.measures[1].makespan_us / found.measures[0].makespan_us:.3f}"
    assert told["energy"] == ("-", "-", "-")
    assert told["underruns"][2] == "1.000"
    assert told["utilization r1"][0] == "-"
    assert told["bytes on all links"][0] == "0"
    assert [row[0] for row in work_rows(found)] == ["denoise", "commit", "decode"]
    assert [row[0] for row in path_rows(found)][-1] == "sooner if transfers took no time"
    why = part_rows(compare(side(), side(*SLOW_PASS)))
    assert why[0] == ("plan", "430", "100.0%", "290.0")
    assert why[1] == ("slow pass", "+100", "+23.3%", "+100.0")
    assert why[-1] == ("run", "530", "123.3%", "390.0")


# -- what belongs together -----------------------------------------------------------------------


def test_sides_are_found_by_digest() -> None:
    one, other = two()
    problems = [other.problem, one.problem]
    run = as_run(other.problem, other.plan, 0, 0).trace
    assert run is not None
    assert sides([("1 rank(s)", one.plan), ("2 rank(s)", other.plan)], [], problems) == (one, other)
    # A trace's plan may be the one that it is compared with.
    found = sides([("p", other.plan), ("t", run)], [], problems)
    assert found == (Side("p", other.problem, other.plan), Side("t", other.problem, other.plan, run))
    assert sides([("t", run), ("t", run)], [one.plan, other.plan], problems)[0].plan == other.plan


def test_what_is_lacking_is_told_with_the_fix() -> None:
    one, other = two()
    run = as_run(other.problem, other.plan, 0, 0).trace
    assert run is not None
    digests = one.plan.problem_digest[:12], run.plan_digest[:12], other.problem.digest[:12]
    with pytest.raises(InputError, match=rf"^a: made for problem {digests[0]}, no problem is given; add it with --pro"):
        sides([("a", one.plan), ("b", other.plan)], [], [])
    with pytest.raises(InputError, match=rf"^a: made for problem {digests[0]}, problems given: {digests[2]}; add it"):
        sides([("a", one.plan), ("b", other.plan)], [], [other.problem])
    with pytest.raises(InputError, match=rf"^t: a trace of plan {digests[1]}, no plan is given; add it with --plan FI"):
        sides([("t", run), ("t", run)], [], [other.problem])


def test_half_a_run_is_refused() -> None:
    whole = side(*SLOW_PASS)
    assert whole.trace is not None
    ranks = (whole.trace.ranks[0][:-1], whole.trace.ranks[1])
    half = whole._replace(trace=Trace.model_validate(whole.trace.model_dump() | {"ranks": ranks}))
    with pytest.raises(MismatchError, match="trace: rank 0 lacks"):
        compare(side(), half)
