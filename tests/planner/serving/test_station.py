"""What a group gives, against the plan it is read off."""

from __future__ import annotations

import pytest

from models.catalog import load_spec
from planner.cluster import Cluster
from planner.conditions import Conditions
from planner.errors import InfeasibleError
from planner.memory import peak_bytes
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.rows import finished_us
from planner.serving.choose import choose
from planner.serving.demand import Session
from planner.serving.hall import play
from planner.serving.policy import Policy
from planner.serving.station import Station, station
from planner.workload import Workload


def problem_of(model: str, device: str, count: int) -> Problem:
    return Problem(model=load_spec(model), cluster=Cluster.of(device, count), workload=Workload(blocks=7))


@pytest.mark.parametrize(
    ("model", "count", "pattern", "placement"),
    [
        ("toy", 1, "sequential", "free"),
        ("toy", 2, "cascade:2", "free"),
        ("self-forcing-1.3b", 4, "cascade:1:live-joint", "block+decoder"),
        ("self-forcing-1.3b", 4, "sequential", "free+decoder:2*ulysses:2"),
    ],
)
def test_a_session_alone_finishes_its_blocks_when_the_plan_does(
    model: str, count: int, pattern: str, placement: str
) -> None:
    problem = problem_of(model, "h100", count)
    chosen = choose(problem, Pattern.parse(pattern, problem.model), Placement.parse(placement))
    made = Station.of(problem, chosen)
    ends = finished_us(chosen.found.rows, problem.model.steps - 1)
    for blocks in (1, 2, 5, chosen.settled + chosen.kernel_blocks):
        tally = play(
            [made], [1], Policy.parse("single"), [Session(0, 0, blocks, 1e-3, ())], problem.model, Conditions()
        )
        assert tally.end_us == ends[blocks - 1]
    assert made.first_frame_us == ends[0]
    assert made.period_us == -(-chosen.kernel_us // chosen.kernel_blocks)


def test_what_all_sessions_share_and_what_each_has_add_up_to_the_plans_memory() -> None:
    problem = problem_of("self-forcing-1.3b", "h100", 1)
    chosen = choose(problem)
    made = Station.of(problem, chosen)
    (program,) = chosen.found.rows
    peak = peak_bytes([row.action for row in program], chosen.found.case.costs)
    memory = made.memory
    assert memory.weights_bytes + memory.session_bytes == peak
    assert memory.weights_bytes > problem.model.weight_bytes
    assert memory.session_bytes > problem.model.kv_bytes_per_frame * problem.model.window
    fit = memory.sessions
    assert memory.weights_bytes + fit * memory.session_bytes <= 80 * 10**9
    assert memory.weights_bytes + (fit + 1) * memory.session_bytes > 80 * 10**9


def test_all_devices_work_and_one_alone_always() -> None:
    assert station(problem_of("self-forcing-1.3b", "h100", 1)).busy == (1.0,)
    busy = station(problem_of("self-forcing-1.3b", "h100", 3)).busy
    assert len(busy) == 3
    assert all(0.1 < share <= 1 for share in busy)


def test_only_sequential_patterns_pay_for_a_prompt_change() -> None:
    problem = problem_of("self-forcing-1.3b", "h100", 1)
    assert station(problem, Pattern.sequential(problem.model)).recache_us > 0
    assert station(problem, Pattern.parse("cascade:1:live-joint", problem.model)).recache_us == 0


def test_a_model_that_does_not_fit_says_the_sum() -> None:
    with pytest.raises(InfeasibleError, match=r"weights .* 29\.3 GB \+ K/V of one pass 26\.8 GB > 48\.0 GB of l40s"):
        station(problem_of("wan-14b", "l40s", 1))


def test_the_quick_choice_is_near_the_planners() -> None:
    problem = problem_of("self-forcing-1.3b", "h100", 3)
    quick, exact = station(problem), station(problem, exact=True)
    assert quick.period_us <= exact.period_us * 1.02
