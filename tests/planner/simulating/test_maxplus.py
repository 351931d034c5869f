"""What each condition does to runs, reckoned by hand."""

from __future__ import annotations

import numpy as np
import pytest

from planner.conditions import Conditions, Outage, Player, SlowLink, StartUp, Straggler
from planner.errors import InfeasibleError
from planner.montecarlo import montecarlo
from planner.patterns import Pattern
from planner.rows import begun_us, busy_us
from planner.simulate import simulate
from planner.timing import retime
from tests.planner.by_hand import CASES
from tests.planner.clips import cascade, clip, costed, model, plan_of, program
from tests.planner.simulating.plans_by_hand import in_a_row, of_case, two_ranks


def played(given_conditions: Conditions) -> list[int]:
    """When the two blocks begin and are finished."""
    problem, made = two_ranks()
    runs = montecarlo(made, problem, given_conditions, 1)
    found: list[int] = np.concatenate([runs.begun_us[0], runs.finished_us[0]]).tolist()
    return found


def test_two_ranks_by_hand() -> None:
    assert played(Conditions()) == [0, 249, 200, 549]


def test_a_straggler_is_slow_where_it_begins_in_time() -> None:
    slow = Straggler(rank=1, factor=2, from_us=249, until_us=550)
    assert played(Conditions(stragglers=(slow,))) == [0, 249, 200, 249 + 300 + 300]
    # b1.s1 would begin at 549: too late for it.
    short = slow.model_copy(update={"until_us": 549})
    assert played(Conditions(stragglers=(short,))) == [0, 249, 200, 249 + 300 + 150]
    late = slow.model_copy(update={"from_us": 250})
    assert played(Conditions(stragglers=(late,))) == [0, 249, 200, 249 + 150 + 300]
    # Two that hold at once: 150 x 2 x 1.5.
    both = Straggler(rank=1, factor=1.5)
    assert played(Conditions(stragglers=(short, both))) == [0, 249, 200, 249 + 450 + 225]


def test_a_slow_link_holds_up_what_it_carries() -> None:
    # 149 us x 2.5 is 372.5, to the even microsecond: one transfer from 100 to 472, the other to 844.
    assert played(Conditions(slow_links=(SlowLink(factor=2.5, source=0),))) == [0, 472, 200, 994]
    assert played(Conditions(slow_links=(SlowLink(factor=2.5, target=0),))) == [0, 249, 200, 549]
    assert played(Conditions(slow_links=(SlowLink(factor=2.5, source=1, target=0),))) == [0, 249, 200, 549]


def test_start_up_comes_first_and_each_kind_of_work_compiles_once() -> None:
    assert played(Conditions(start_up=StartUp(ready_us=1000))) == [1000, 1249, 1200, 1549]
    # On r0 the two steps of a first block are two kinds of work (the first step has a cost of its own): 100 + 30 each.
    start = StartUp(compile_us=30)
    assert played(Conditions(start_up=start)) == [0, 279, 260, 279 + 2 * 180]


def test_an_outage_cuts_what_is_under_way() -> None:
    # r1 is gone from 300 to 500: b1.s0, begun at 249, begins anew.
    assert played(Conditions(outages=(Outage(rank=1, at_us=300, back_us=500),))) == [0, 500, 200, 800]
    # r0 goes when b0.s0 ends and comes back at 130; the send is posted then.
    assert played(Conditions(outages=(Outage(rank=0, at_us=100, back_us=130),))) == [0, 279, 230, 579]
    # The transfer, from 100 to 249, begins anew.
    assert played(Conditions(outages=(Outage(rank=1, at_us=248, back_us=260),))) == [0, 409, 200, 709]
    # Nothing is cut that ends just then, and nothing begins: the last free waits.
    problem, made = two_ranks()
    last = montecarlo(made, problem, Conditions(outages=(Outage(rank=1, at_us=549, back_us=900),)), 1)
    assert (last.finished_us[0, 1], last.makespan_us[0]) == (549, 900)


def test_outages_in_any_order_cut_one_after_the_other() -> None:
    # b1.s0 begins at 249, at 560, and at last at 700.
    later, sooner = Outage(rank=1, at_us=600, back_us=700), Outage(rank=1, at_us=300, back_us=560)
    assert played(Conditions(outages=(later, sooner))) == [0, 700, 200, 1000]


def test_a_post_waits_for_its_rank_and_takes_its_time_then() -> None:
    # The host takes 40 us to post: b0.s1 comes at 140, or where r0 is gone from 100 to 130, at 170.
    problem, made = two_ranks(measured={"post_us": 40})
    gone = Conditions(outages=(Outage(rank=0, at_us=100, back_us=130),))
    assert montecarlo(made, problem, runs=1).finished_us[0, 0] == 240
    assert montecarlo(made, problem, gone, 1).finished_us[0, 0] == 270


def test_a_cut_pass_is_as_slow_as_when_it_begins_anew() -> None:
    slow = Straggler(rank=1, factor=2, from_us=500)
    gone = Outage(rank=1, at_us=300, back_us=500)
    assert played(Conditions(outages=(gone,), stragglers=(slow,))) == [0, 500, 200, 1100]


def test_an_outage_of_a_live_reader_or_of_its_source() -> None:
    """The stream is under way from 117 to 291, the last of its 6 layers from 262; the reader from 146 to 316."""
    case = CASES["a stream slower than its maker"]
    made = of_case(case)

    def finished(rank: int, at_us: int, back_us: int) -> list[int]:
        gone = Conditions(outages=(Outage(rank=rank, at_us=at_us, back_us=back_us),))
        found: list[int] = montecarlo(made, case.problem, gone, 1).finished_us[0].tolist()
        return found

    whole = montecarlo(made, case.problem, runs=1).finished_us[0].tolist()
    assert finished(0, 270, 300) == [200, whole[1] + 38]  # the last layer from 300 to 329: the reader ends at 354
    assert finished(1, 270, 300) == [200, whole[1] + 134]  # the reader begins anew at 300 and ends at 450
    assert finished(1, 300, 310) == [200, whole[1] + 19]  # its own time was over at 296: a layer from 310 to 335
    assert finished(0, 250, 300) == [200, whole[1] + 183]  # all six layers again, the last from 445 to 474


@pytest.mark.parametrize("layers", [1, 6])
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("slow", [0, 1])
def test_a_live_pass_cut_at_any_moment_is_as_the_simulation_has_it(layers: int, rank: int, slow: int) -> None:
    timing = costed(clip(model(2, layers=layers), 2, 2, decode=False), cascade(1, "live-causal"))
    made = plan_of(timing, retime(CASES["a stream slower than its maker"].actions, timing))
    for at_us in range(90, made.makespan_us, 9):
        gone, late = Outage(rank=rank, at_us=at_us, back_us=at_us + 40), Straggler(rank=slow, factor=3)
        cut = Conditions(outages=(gone,), stragglers=(late,))
        trace, runs = simulate(made, timing.problem, cut), montecarlo(made, timing.problem, cut, 1)
        assert runs.begun_us[0].tolist() == begun_us(trace.ranks)
        assert runs.finished_us[0].tolist() == trace.finished_us


def test_a_slow_viewer_holds_the_run_back() -> None:
    """The toy plays a first block of one frame in 62 500 us and others of four in 250 000 us."""
    problem, made = in_a_row(5)
    queue = Conditions(player=Player(start_blocks=1, queue_blocks=2))
    finished = montecarlo(made, problem, queue, 1).finished_us.tolist()
    # Shown from 100, 62 600, 312 600 on; block 2 begins when block 0 is shown.
    assert finished == [[100, 200, 300, 62_700, 312_700]]
    later = Conditions(player=Player(start_blocks=2, queue_blocks=2))
    assert montecarlo(made, problem, later, 1).finished_us.tolist() == [[100, 200, 300, 62_800, 312_800]]
    assert montecarlo(made, problem, Conditions(player=Player(start_blocks=2)), 1).finished_us[0, -1] == 500


@pytest.mark.parametrize("queue", [1, 2])
@pytest.mark.parametrize("where", ["ring", "free+decoder:2"])
def test_what_ends_a_block_waits_for_room_and_nothing_else_of_it(where: str, queue: int) -> None:
    """The last slice of a ring, the last part of a decoder."""
    problem = clip(model(2), 4, 3, decode=where != "ring")
    pattern = Pattern.parse("layers", problem.model) if where == "ring" else cascade(1)
    made = plan_of(costed(problem, pattern, where))
    viewer = Conditions(player=Player(queue_blocks=queue))
    trace, runs = simulate(made, problem, viewer), montecarlo(made, problem, viewer, 1)
    assert runs.makespan_us[0] > made.makespan_us
    assert runs.finished_us[0].tolist() == trace.finished_us
    assert runs.begun_us[0].tolist() == begun_us(trace.ranks)
    assert runs.busy_us[0].tolist() == [busy_us(rows) for rows in trace.ranks]


def test_a_gang_waits_for_the_prompt_of_those_that_have_passes() -> None:
    """In the last tick one rank has nothing to run, so no prompt to wait for."""
    problem = clip(model(2), 3, 2, decode=False, asked={"switches": [{"at_us": 10_000}]})
    made = plan_of(costed(problem, cascade(1, "live-joint"), "block", (3,)))
    assert made.ranks[1][-1].action.batch == () or made.ranks[0][-1].action.batch == ()
    runs = montecarlo(made, problem, runs=1)
    assert runs.finished_us[0].tolist() == made.finished_us
    assert made.finished_us[-1] > 10_000


def test_a_queue_too_short_for_the_plans_order_is_named() -> None:
    """Block 1 is finished before block 0, and waits for it to be shown."""
    timing = costed(clip(model(1, window=1), 2, decode=False), Pattern.sequential(model(1)))
    backwards = program("denoise b1.s0\nfree kv b1.s0\ndenoise b0.s0\nfree kv b0.s0")
    made = plan_of(timing, retime([backwards], timing))
    assert montecarlo(made, timing.problem, runs=1).finished_us.tolist() == [[200, 100]]
    message = r"^the plan never finishes with player\.queue_blocks 1: r0 at denoise b1\.s0; let more blocks wait$"
    with pytest.raises(InfeasibleError, match=message):
        montecarlo(made, timing.problem, Conditions(player=Player(queue_blocks=1)))
    # Block 1 is there at 100, but nobody can watch it without block 0.
    gone = Conditions(outages=(Outage(rank=0, at_us=150),))
    assert montecarlo(made, timing.problem, gone, 1).finished_us.tolist() == [[-1, -1]]
    wide = Conditions(player=Player(queue_blocks=2))
    assert montecarlo(made, timing.problem, wide, 1).finished_us.tolist() == [[200, 100]]
