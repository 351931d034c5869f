"""Very long clips: a short clip, a kernel that repeats, its exact period, and what limits that."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from time import process_time

import pytest

from models.catalog import load_spec
from planner.check import check
from planner.cluster import Cluster
from planner.errors import InfeasibleError, InputError
from planner.expand import expand
from planner.objective import OBJECTIVES, Limits
from planner.patterns import Pattern
from planner.placement import Placement, all_placements
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import finished_us
from planner.search import plan
from planner.streams.steady import loop_of
from planner.streams.stream import LONGEST, of_length
from planner.streams.unroll import unroll
from planner.sweeping.axes import stepped
from planner.workload import PromptSwitch, Workload
from tests.planner.clips import cascade, clip, costed, grid, model

SELF_FORCING = load_spec("self-forcing-1.3b")
# A window of two blocks settles soon.
TWO = model(2, clean=True, window=2)


def h100(count: int, blocks: int) -> Problem:
    return Problem(model=SELF_FORCING, cluster=Cluster.of("h100", count), workload=Workload(blocks=blocks))


def small(ranks: int, blocks: int = 1000, **changes: object) -> Problem:
    return clip(TWO, blocks, ranks, denoise_us=(90, 110), clean_us=(70,), decode_us=(50, 120), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 8])
def test_a_million_blocks_cost_a_kernel(count: int) -> None:
    problem = h100(count, 10**6)
    begun = process_time()
    made = plan(problem)
    assert process_time() - begun < 5  # about one second on a quiet core
    assert made.repeat is not None
    assert made.repeat.copies > 99_000
    assert len(made.to_json()) < 400_000
    assert Plan.from_json(made.to_json()) == made
    check(made, problem)
    # Three weeks of video and more: the whole is the kernel's time over and over.
    assert made.steady is not None
    assert made.evidence.value == pytest.approx(10**6 * float(Fraction(made.steady.period)), rel=1e-4)


def test_streams_begin_where_clips_end() -> None:
    pattern = Pattern.sequential(TWO)
    clip_plan, stream = (plan(small(1, blocks), pattern=pattern) for blocks in (LONGEST, LONGEST + 1))
    assert clip_plan.repeat is None
    assert stream.repeat is not None
    assert stream.evidence.value == pytest.approx(clip_plan.makespan_us * (LONGEST + 1) / LONGEST, rel=0.005)


@pytest.mark.parametrize("text", ["cascade:2:live-causal", "cascade:1:live-joint"])
def test_every_length_comes_out_to_the_block(text: str) -> None:
    pattern = Pattern.parse(text, TWO)
    for blocks in (501, 502, 503, 504, 10**7):
        made = plan(small(2, blocks), pattern=pattern, placement=Placement.parse("step"))
        assert made.repeat is not None
        written = {block for rows in made.ranks for row in rows for block, _ in row.action.passes}
        assert len(written) + made.repeat.copies * made.repeat.kernel_blocks == blocks


def test_the_period_is_that_of_the_written_rows() -> None:
    made = plan(small(3), pattern=cascade(1), placement=Placement.parse("block"))
    assert made.repeat is not None
    assert made.steady is not None
    assert Fraction(made.steady.period) == made.repeat.period_us
    ends = finished_us(unroll(made, 6), made.last_step)
    count = made.repeat.kernel_blocks
    middle = len(ends) // 2
    assert ends[middle + count] - ends[middle] == made.repeat.kernel_us


# -- how good ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ranks", "offset", "period", "limit", "certificate"),
    [
        # Five passes of 10 and a decode of 7: max(a window of `offset` passes, the work on each device, the decode).
        (1, 1, 57, "devices", ("device 0",)),
        (3, 1, 19, "devices", ("all 3 devices",)),
        (6, 1, 10, "dependencies", ("s0",)),
        (8, 1, 10, "dependencies", ("s0",)),
        (2, 5, 50, "dependencies", ("s0", "s1", "s2", "s3", "s4")),
    ],
)
def test_the_cascade_grid_reaches_its_closed_form(
    ranks: int, offset: int, period: int, limit: str, certificate: tuple[str, ...]
) -> None:
    problem = of_length(grid(ranks, blocks=7), 1000)
    made = plan(problem, pattern=cascade(offset), placement=Placement.parse("free"))
    assert made.steady is not None
    assert (made.steady.period, made.steady.bound) == (str(period), str(period))
    assert (made.steady.limit, made.steady.certificate, made.steady.gap) == (limit, certificate, 0)
    assert made.steady.most_useful == {1: 6, 5: 2}[offset]


def test_a_slow_decoder_is_named() -> None:
    problem = of_length(grid(8, blocks=7, decode_us=35), 1000)
    made = plan(problem, pattern=cascade(1), placement=Placement.parse("free"))
    assert made.steady is not None
    assert (made.steady.period, made.steady.limit, made.steady.certificate) == ("35", "decoder", ("decode",))


def names_of(problem: Problem, made: Plan) -> set[str]:
    """The tasks of the plan's endless stream, and what they take."""
    if made.placement.startswith("batched") and not made.pattern.is_joint:
        return {"chain of batches"}
    costs = costed(of_length(problem, 60), made.pattern, made.placement)
    loop = loop_of(expand(costs), costs.flow)
    return {*loop.nodes, *(resource.name for resource in loop.resources)}


@pytest.mark.parametrize("text", ["sequential", "cascade:1", "cascade:1:live-joint", "layers"])
def test_no_stream_beats_its_bound(text: str) -> None:
    pattern = Pattern.parse(text, TWO)
    for ranks in (1, 2):
        problem = small(ranks)
        made = plan(problem, pattern=pattern)
        assert made.steady is not None
        assert Fraction(made.steady.bound) <= Fraction(made.steady.period)
        assert made.steady.gap >= 0
        assert made.steady.certificate
        assert made.evidence.bound <= made.evidence.value
        assert made.steady.limit in ("dependencies", "devices", "decoder", "link")
        assert set(made.steady.certificate) <= names_of(problem, made)


def test_the_least_period_of_all_is_found() -> None:
    problem = clip(model(2, window=2, tolerates=("sequential", "same-level")), 7, 2, decode_us=(50, 120))
    best = plan(problem, objective="period")
    assert best.steady is not None
    assert best.repeat is None, "seven blocks are written out"
    assert best.evidence.value == float(Fraction(best.steady.period))
    periods = {}
    for text in ("sequential", "cascade:1"):
        pattern = Pattern.parse(text, problem.model)
        for where in all_placements(pattern, problem.model, problem.cluster, decode=True, parts=1):
            with suppress(InfeasibleError):  # no rhythm
                made = plan(problem, pattern=pattern, placement=where, objective="period")
                periods[f"{text} {where}"] = made.evidence.value
    assert len(periods) > 4
    assert best.evidence.value == min(periods.values())


# -- what is asked -------------------------------------------------------------------------------


def test_limits_are_held_against_the_whole_stream() -> None:
    problem = small(1, 10_000)
    free = plan(problem).evidence.value
    with pytest.raises(InfeasibleError, match=r"makespan <= .* cannot be kept"):
        plan(problem, limits=Limits(makespan_us=0.9 * free))
    with pytest.raises(InfeasibleError, match="fps >= "):
        plan(problem, limits=Limits(fps=1e7))


def test_money_is_that_of_the_whole_stream() -> None:
    short, long = (
        plan(small(1, blocks), pattern=cascade(2), objective="money").evidence.value for blocks in (1000, 4000)
    )
    assert long == pytest.approx(4 * short, rel=0.03)


def test_the_table_compares_what_the_evidence_does() -> None:
    for objective in OBJECTIVES:
        made = plan(small(1, 5000), pattern=cascade(2), objective=objective)
        assert made.alternatives[0].value == made.evidence.value


def test_prompts_are_encoded_once_in_a_stream() -> None:
    problem = small(2, asked={"encode_text": True})
    made = plan(problem, pattern=cascade(2), placement=Placement.parse("step"))
    texts = [str(row.action) for rows in unroll(made, 3) for row in rows if row.action.kind == "text"]
    assert texts == ["text p0"]


def test_switches_in_streams_are_refused() -> None:
    problem = small(2, 501, asked={"switches": [PromptSwitch(at_us=5).model_dump()]})
    with pytest.raises(InputError, match="switches: are planned in clips of at most 500 blocks, not 501"):
        plan(problem)


def test_a_stream_without_decoding() -> None:
    made = plan(small(2, decode=False))
    assert made.repeat is not None
    assert not any(row.action.kind == "decode" for rows in made.ranks for row in rows)


def test_memory_counts_in_streams() -> None:
    problem = h100(1, 1000)
    device = problem.cluster.devices[0].model_copy(update={"memory_bytes": 5 * 10**9})
    tight = problem.model_copy(update={"cluster": problem.cluster.model_copy(update={"devices": (device,)})})
    with pytest.raises(InfeasibleError, match=r"no plan fits: memory: weights and working memory \d.\d GB"):
        plan(tight, pattern=Pattern.sequential(SELF_FORCING))


def of_steps(steps: int) -> Problem:
    spec = stepped(SELF_FORCING, steps)
    return Problem(model=spec, cluster=Cluster.of("h100", 1), workload=Workload(blocks=1000))


def test_blocks_of_many_passes_settle() -> None:
    """The short clip outlasts the ramp and the end, which are each as many blocks as there are passes."""
    problem = of_steps(30)
    made = plan(problem, pattern=Pattern.sequential(problem.model))
    assert made.repeat is not None
    assert made.steady is not None
    assert made.steady.gap == pytest.approx(0)
    check(made, problem)


def test_a_stream_of_too_many_passes_is_refused_at_once() -> None:
    problem = of_steps(400)
    with pytest.raises(InputError, match=r"401 passes a block .* 500 blocks or fewer"):
        plan(problem, pattern=Pattern.sequential(problem.model))
