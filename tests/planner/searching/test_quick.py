"""What a case can reach at best, told for next to nothing: no schedule does better."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.cost import Costs
from planner.expand import expand
from planner.metrics import metrics
from planner.objective import OBJECTIVES, score
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Objective
from planner.problem import Problem
from planner.schedulers.list_schedule import RULES, Rule, list_schedule
from planner.search import plan
from planner.searching.case import figures, price
from planner.searching.quick import at_best, least_period
from planner.streams.loop import steady_period
from planner.streams.steady import loop_of
from tests.planner.clips import clip, costed, model, timed
from tests.strategies import costings

TWO = model(2, clean=True)


def of(problem: Problem, pattern: str, placement: str = "free") -> Costs:
    return costed(problem, Pattern.parse(pattern, problem.model), placement)


def best(costs: Costs, objective: Objective) -> float:
    return at_best(costs, objective)


# -- by hand: a pass takes 100 us, a clean one 80, a decode 60; equal whatever the context ---------


def flat(blocks: int, ranks: int, **changes: object) -> Problem:
    return clip(TWO, blocks, ranks, denoise_us=(100,), clean_us=(80,), decode_us=(60, 60), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "placement", "ranks", "makespan"),
    [
        # Two blocks' three passes, the last one's two steps and its decode.
        ("sequential", "free", 8, 2 * 280 + 200 + 60),
        # Each block's first pass, then the last block.
        ("cascade:1", "free", 8, 2 * 100 + 200 + 60),
        ("cascade:2", "free", 8, 2 * 200 + 200 + 60),
        ("cascade:1:live-causal", "free", 8, 2 * 100 + 200 + 60),
        # All work on two ranks: 8 passes with 2 clean ones among them, and 3 decodes.
        ("cascade:1", "free", 2, (6 * 100 + 2 * 80 + 3 * 60) / 2),
        ("cascade:1", "free", 1, 6 * 100 + 2 * 80 + 3 * 60),
    ],
)
def test_chains_and_work(pattern: str, placement: str, ranks: int, makespan: float) -> None:
    assert best(of(flat(3, ranks), pattern, placement), "makespan") == makespan


def test_a_slow_decoder_sets_the_pace() -> None:
    problem = clip(TWO, 5, 8, denoise_us=(100,), decode_us=(400, 400))
    assert best(of(problem, "cascade:1", "free+decoder"), "makespan") == 200 + 5 * 400


def test_latencies_are_those_of_one_block() -> None:
    costs = of(clip(TWO, 4, 2, denoise_us=(100, 150), decode_us=(40, 60)), "cascade:1")
    assert best(costs, "first-frame") == 100 + 100 + 40
    # The last block reads three others: 250 us a pass.
    assert best(costs, "control") == 2 * 250 + 60


def test_independent_blocks_have_no_chain() -> None:
    """A window of one block: nothing ties a block to the one before."""
    problem = clip(model(2, clean=True, window=1), 6, 6, denoise_us=(100,), decode=False)
    costs = of(problem, "sequential")
    assert best(costs, "makespan") <= metrics(problem.model, problem.cluster, timed(costs)).makespan_us < 6 * 200
    assert best(costs, "control") == 0


def test_a_context_made_anew_does_not_wait_for_a_clean_pass() -> None:
    """Block 2's is made of block 1's latents, while block 1's clean pass is not done."""
    problem = clip(
        TWO,
        3,
        2,
        denoise_us=(100,),
        decode=False,
        latency_us=0,
        bandwidth_gbps=1e6,
        measured={"recache_us": 10},
        asked={"switches": [{"at_us": 300, "recache": True}]},
    )
    pattern, where = Pattern.sequential(TWO), Placement()
    made = plan(problem, pattern=pattern, placement=where)
    assert made.makespan_us < 280 + 280 + 200
    assert at_best(price(problem, pattern, where), "makespan") <= made.makespan_us


@pytest.mark.parametrize(
    ("pattern", "placement", "devices"),
    [
        ("cascade:1", "free", 1),
        ("cascade:1", "free+decoder", 2),
        ("cascade:1", "block*ulysses:2", 2),
        ("cascade:1:live-joint", "block", 4),
        ("cascade:1:live-joint", "batched+decoder", 4),
        ("layers", "ring", 4),
    ],
)
def test_the_fewest_devices(pattern: str, placement: str, devices: int) -> None:
    assert best(of(flat(3, 4), pattern, placement), "devices") == devices


def test_the_least_period() -> None:
    # A window of two blocks settles at once: 380 us of work a block, decode apart or not.
    problem = clip(model(2, clean=True, window=2), 12, 4, denoise_us=(100,), clean_us=(80,), decode_us=(60, 60))
    assert least_period(of(problem, "cascade:1", "free")) == 100
    assert least_period(of(problem, "cascade:1", "free@2")) == (280 + 60) / 2
    assert least_period(of(problem, "sequential")) == 280
    assert least_period(of(problem, "cascade:1:live-joint", "block")) >= 100


# -- against every schedule ----------------------------------------------------------------------


@settings(max_examples=250)
@given(costings(), st.sampled_from(RULES))
def test_no_schedule_beats_it(costs: Costs, rule: Rule) -> None:
    tasks = expand(costs)
    foretold = figures(list_schedule(tasks.instance, rule), tasks, costs)
    found = metrics(costs.spec, costs.problem.cluster, timed(costs, rule))
    for objective in OBJECTIVES:
        least = at_best(costs, objective)
        assert least <= score(found, objective) * (1 + 1e-12), objective
        assert least <= score(foretold, objective) * (1 + 1e-12), objective


def test_a_group_that_only_decodes_pays_one_rank() -> None:
    """Passes keep one group busy, decodes one rank of the other: the second group's other rank is free."""
    parallel = {"parallel": [{"method": "ulysses", "degree": 2, "share": 0.5}]}
    spec = model(2, clean=True)
    problem = clip(
        spec,
        12,
        4,
        denoise_us=(100,),
        clean_us=(100,),
        decode_us=(140, 140),
        latency_us=0,
        bandwidth_gbps=1e6,
        measured=parallel,
    )
    costs = of(problem, "sequential", "free*ulysses:2")
    for rule in RULES:
        found = metrics(spec, problem.cluster, timed(costs, rule))
        assert at_best(costs, "money") <= found.money


@pytest.mark.parametrize(
    "pattern", ["sequential", "cascade:1", "cascade:2", "cascade:1:live-causal", "sequential-recompute"]
)
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_no_loop_beats_the_least_period(pattern: str, ranks: int) -> None:
    spec = model(2, clean=True, window=3)
    costs = of(clip(spec, 30, ranks, denoise_us=(90, 110)), pattern)
    assert least_period(costs) <= steady_period(loop_of(expand(costs), costs.flow)).value
