"""The quick layout of a stream's beginning, held against plans and by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalog import load_spec
from planner.cluster import Cluster
from planner.draft import draft
from planner.errors import InputError
from planner.expand import expand
from planner.lower import lower
from planner.memory import peak_bytes
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.searching.case import price, schedule_case
from planner.searching.finish import rows_of
from planner.searching.quick import least_period
from planner.streams.stream import LONGEST, lookahead, of_length, settled_case, short_blocks
from planner.sweeping.held import CLOSE, held_bytes
from planner.sweeping.shape import shape_of
from planner.sweeping.stream_clip import Clip, lay_out, rhythm, stream_problem
from planner.workload import Workload
from tests.planner.sweeping.measured import profile

CASES = [
    (1, "sequential", "free"),
    (2, "sequential", "free*ulysses:2"),
    (2, "cascade:1", "free"),
    (3, "cascade:2", "step+decoder"),
    (3, "cascade:1:live-joint", "block+decoder"),
    (3, "cascade:2:live-causal", "free"),
    (2, "layers", "ring"),
    (2, "cascade:1", "batched"),
]


def problem(count: int, device: str = "h100", model: str = "self-forcing-1.3b", **rest: object) -> Problem:
    spec = load_spec(model)
    return Problem.model_validate(
        {"model": spec, "cluster": Cluster.of(device, count), "workload": Workload(blocks=7), **rest}
    )


def test_one_device_by_hand() -> None:
    """Four passes of 10, a clean one of 10 and a decode of 5 in a row: a block every 55 ms, the first after 45."""
    given = problem(1, "cpu-core", "toy")
    spec = given.model
    laid = lay_out(
        given.model_copy(update={"profile": profile(spec, pass_us=10_000, decode_us=5_000)}),
        Pattern.sequential(spec),
        Placement(),
    )
    assert laid.clip.period_us == 55_000
    assert laid.clip.finished_us[0] == 45_000
    assert laid.clip.finished_at(1) == 45_000
    many = len(laid.clip.finished_us)
    assert laid.clip.finished_at(many + 10) == pytest.approx(laid.clip.finished_at(many) + 550_000)
    # A change that just misses a block waits for it, and then for its own.
    assert laid.clip.control_us == 55_000 + 45_000


@pytest.mark.parametrize(
    ("finished", "period"),
    [
        ([0, 10, 20, 30, 40, 50, 60, 70], 10.0),
        ([0, 1, 10, 11, 20, 21, 30, 31, 40, 41, 50, 51], 5.0),
        ([0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42], 10 / 3),
        ([0, 7], 7.0),
        ([0, 0, 0, 0], 1.0),
        ([0, 1, 3, 7, 15, 31], (31 - 3) / 3),  # no rhythm
    ],
)
def test_rhythm(finished: list[int], period: float) -> None:
    assert rhythm(finished) == pytest.approx(period)


def test_a_burst_is_no_rhythm() -> None:
    """Blocks that are finished in bursts of four: their mean distance, not that inside a burst."""
    finished = [burst * 100 + place for burst in range(4) for place in range(4)]
    assert rhythm(finished) == pytest.approx(25.0)


def test_no_rhythm_of_one() -> None:
    with pytest.raises(InputError, match="two blocks"):
        rhythm([5])


@pytest.mark.parametrize(("count", "pattern", "placement"), CASES)
def test_period_is_near_that_of_the_stream(count: int, pattern: str, placement: str) -> None:
    given = problem(count)
    chosen, where = Pattern.parse(pattern, given.model), Placement.parse(placement)
    laid = lay_out(given, chosen, where)
    long = of_length(given, LONGEST)
    short = of_length(long, short_blocks(long, [chosen]))
    found = settled_case(short, price(short, chosen, where), "period")
    assert laid.clip.period_us >= laid.bound_us
    assert not isinstance(found, str)
    assert laid.clip.period_us == pytest.approx(float(found[1].period_us), rel=0.03)


@pytest.mark.parametrize(("count", "pattern", "placement"), CASES)
@pytest.mark.parametrize("device", ["a100", "l40s"])
def test_a_shape_says_what_expanding_says(count: int, pattern: str, placement: str, device: str) -> None:
    given = problem(count, device)
    chosen, where = Pattern.parse(pattern, given.model), Placement.parse(placement)
    stream = stream_problem(given, chosen)
    priced = price(stream, chosen, where)
    assert shape_of(priced).timed(priced) == expand(priced, lookahead(stream, chosen))


@pytest.mark.parametrize(("count", "pattern", "placement"), CASES)
def test_memory_is_near_that_of_the_program(count: int, pattern: str, placement: str) -> None:
    """Programs post their receives early, and so may hold a little more."""
    given = problem(count)
    chosen, where = Pattern.parse(pattern, given.model), Placement.parse(placement)
    laid = lay_out(given, chosen, where)
    programs = lower(draft(laid.schedule, laid.tasks, laid.priced), laid.priced.flow)
    exact = max(peak_bytes(program, laid.priced) for program in programs)
    quick = max(load.total for load in held_bytes(laid))
    assert quick == pytest.approx(exact, rel=CLOSE)


def test_posting_takes_its_time() -> None:
    """Of each message the sender's and the reader's unit lose the time of a post."""
    given = problem(2, "cpu-core", "toy")
    spec = given.model

    def period(post_us: int) -> float:
        measured = profile(spec, pass_us=10_000, decode_us=5_000).model_copy(update={"post_us": post_us})
        return lay_out(
            given.model_copy(update={"profile": measured}), Pattern.parse("cascade:1", spec), Placement.parse("step")
        ).clip.period_us

    assert period(0) < period(100) < period(1000)


@settings(max_examples=25)
@given(st.integers(1, 4), st.sampled_from(["sequential", "cascade:1", "cascade:2", "cascade:3"]), st.booleans())
def test_never_below_the_bound(count: int, pattern: str, decode: bool) -> None:
    given = problem(count, workload=Workload(blocks=3, decode=decode))
    laid = lay_out(given, Pattern.parse(pattern, given.model), Placement())
    clip: Clip = laid.clip
    assert clip.period_us >= least_period(laid.priced)
    assert list(clip.finished_us) == sorted(clip.finished_us)
    assert all(begun < done for begun, done in zip(clip.begun_us, clip.finished_us, strict=True))
    assert clip.control_us >= clip.finished_us[0] - clip.begun_us[0]


def test_first_frame_is_that_of_the_rows() -> None:
    """Lowered to programs and timed again, a layout's first frame is what the quick figure says."""
    given = problem(2)
    chosen = Pattern.parse("cascade:1", given.model)
    where = Placement.parse("free+decoder")
    laid = lay_out(given, chosen, where)
    made = rows_of(schedule_case(given, price(given, chosen, where)))
    assert not isinstance(made, str)
    assert laid.clip.finished_us[0] == pytest.approx(made.figures.first_frame_us, rel=0.01)
