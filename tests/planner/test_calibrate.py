"""Calibration: what runs took comes out as a profile, by which the cost model foretells them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.calibrate import Calibration, calibrate
from planner.cluster import Cluster
from planner.conditions import Conditions, Jitter
from planner.errors import InputError, MismatchError
from planner.patterns import Pattern
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import Profile, points
from planner.rows import makespan_us
from planner.search import plan as search
from planner.simulate import simulate
from planner.timing import retime
from planner.trace import Trace
from tests.planner.clips import clip, costed, model, plan_of, us
from tests.planner.runs_by_hand import hand_made, hand_run, parts_of, priced, run_under, trace_of, with_profile
from tests.strategies import listed

# Passes by how many blocks they read: as they are, and as they were guessed to be.
TRUE = {"denoise": us(1000, 1100, 1300, 1600), "clean": us(900, 950, 1000, 1050)}
GUESSED = {"denoise": us(700, 800, 900, 1000), "clean": us(700, 800, 900, 1000)}


def asked(pattern: str, placement: str, ranks: int, **workload: object) -> tuple[Problem, Plan]:
    """Seven blocks planned by a guess."""
    spec = model(2, clean=True, window=4)
    problem = with_profile(clip(spec, 7, ranks, asked=workload), **GUESSED)
    return problem, plan_of(costed(problem, Pattern.parse(pattern, spec), placement))


def told(made: tuple[Problem, Plan], **truth: object) -> Calibration:
    """What calibrating by a run says where other figures are true."""
    problem, plan = made
    found = calibrate(problem, plan, run_under(with_profile(problem, **{**TRUE, **truth}), plan))
    new = retime([[row.action for row in rows] for rows in plan.ranks], priced(found.calibrated(problem), plan))
    assert makespan_us(new) == pytest.approx(found.makespans_us[0], abs=5), "the new profile foretells the run"
    return found


def medians(found: Calibration) -> dict[str, list[int]]:
    return {name: [us for _, us in points(getattr(found.profile, name))] for name in ("denoise", "clean")}


# -- figures that are recovered ------------------------------------------------------------------


@pytest.mark.parametrize("placement", ["free", "block", "step", "free+decoder"])
def test_tables_of_passes(placement: str) -> None:
    found = told(asked("cascade:1", placement, 3))
    assert medians(found) == {"denoise": [1000, 1100, 1300, 1600], "clean": [900, 950, 1000, 1050]}
    # Without each block's first pass, which may take more.
    assert {timing.samples for timing in found.profile.denoise} == {1, 4}


def test_decodes() -> None:
    profile = told(asked("sequential", "free", 2), decode_first=us(222)[0], decode=us(333)[0]).profile
    assert (profile.decode_first.median_us, profile.decode.median_us) == (222, 333)
    assert (profile.decode_first.samples, profile.decode.samples) == (1, 6)


def test_what_no_run_tells_stays() -> None:
    """Nothing is decoded, encoded or batched here, and all the rest is as it was."""
    made = asked("cascade:1", "free", 2, decode=False)
    profile, old = told(made).profile, made[0].profile
    assert old is not None
    changed = {name for name in type(old).model_fields if getattr(profile, name) != getattr(old, name)}
    assert changed == {"denoise", "clean", "software", "busy_ranks"}
    assert (profile.software, profile.busy_ranks) == (f"invented, calibrated by plan {made[1].digest[:12]}", 2)


def test_contexts_no_run_had_keep_their_proportion() -> None:
    """Three blocks read two at most: the measured ones are 1.5 as long as guessed, so is taken the third."""
    spec = model(2, clean=True, window=4)
    problem = with_profile(clip(spec, 3), **GUESSED)
    plan = plan_of(costed(problem, Pattern.sequential(problem.model), "free"))
    found = calibrate(problem, plan, run_under(with_profile(problem, denoise=us(1050, 1200, 1350, 9999)), plan))
    assert [us for _, us in points(found.profile.denoise)] == [1050, 1200, 1350, 1500]
    assert found.profile.denoise[3].samples == 1


def test_a_blocks_first_pass() -> None:
    found = told(asked("cascade:1", "free", 2), block_overhead_us=123)
    assert found.profile.block_overhead_us == 123
    assert medians(found)["denoise"] == [1000, 1100, 1300, 1600]


def test_where_all_are_first_passes_the_overhead_is_not_theirs() -> None:
    spec = model(1, window=4)
    problem = with_profile(clip(spec, 7), denoise=us(700, 800, 900, 1000), block_overhead_us=50)
    plan = plan_of(costed(problem, Pattern.sequential(spec), "free"))
    found = calibrate(problem, plan, run_under(with_profile(problem, denoise=TRUE["denoise"]), plan))
    assert medians(found)["denoise"] == [1000, 1100, 1300, 1600]
    assert found.profile.block_overhead_us == 50


@pytest.mark.parametrize(("pattern", "ranks"), [("cascade:1", 1), ("cascade:1", 2), ("cascade:1:live-joint", 1)])
def test_batches(pattern: str, ranks: int) -> None:
    found = told(asked(pattern, "batched", ranks), batch_share=(0.5, 0.25), **GUESSED)
    shares = found.profile.batch_share
    assert shares[0] == pytest.approx(0.5, abs=0.01)
    assert ranks == 2 or shares[1] == pytest.approx(0.25, abs=0.01)


def test_batches_beside_a_known_overhead_of_ticks() -> None:
    problem, old = asked("cascade:1:live-joint", "batched", 1)
    problem = with_profile(problem, tick_overhead_us=300)
    plan = plan_of(costed(problem, old.pattern, "batched"))
    found = told((problem, plan), batch_share=(0.5, 0.25), **GUESSED)
    assert found.profile.batch_share == pytest.approx((0.5, 0.25), abs=0.01)
    assert found.profile.tick_overhead_us == 300


def test_an_overhead_told_by_hand_is_inside_what_was_measured_of_passes() -> None:
    problem, plan = asked("cascade:1", "step", 3)
    problem = with_profile(problem, flight_overhead_us=300)
    plan = plan_of(costed(problem, plan.pattern, "step"))
    found = told((problem, plan))
    assert found.profile.flight_overhead_us == 0
    assert medians(found)["denoise"] == [1300, 1400, 1600, 1900]
    assert calibrate(problem, plan, run_under(problem, plan)).profile.flight_overhead_us == 300  # foretold, so it stays


def test_joint_ticks_take_more() -> None:
    found = told(asked("cascade:1:live-joint", "block", 3), tick_overhead_us=450, **GUESSED)
    assert found.profile.tick_overhead_us == pytest.approx(450, abs=1)
    assert found.profile.joint_stretch is None


def test_joint_ticks_stretched() -> None:
    problem, _ = asked("cascade:1:live-joint", "block", 3)
    problem = with_profile(problem, joint_stretch=1.0)
    plan = plan_of(costed(problem, Pattern.parse("cascade:1:live-joint", problem.model), "block"))
    found = told((problem, plan), joint_stretch=1.75, **GUESSED)
    assert found.profile.joint_stretch == pytest.approx(1.75, abs=0.01)


def test_groups() -> None:
    share = {"parallel": [{"method": "ulysses", "degree": 2, "share": 0.7}]}
    found = told(asked("cascade:1", "block*ulysses:2", 4), **share, **GUESSED)
    (entry,) = found.profile.parallel
    assert (entry.method, entry.degree) == ("ulysses", 2)
    assert entry.share == pytest.approx(0.7, abs=0.01)
    assert medians(found)["denoise"] == [700, 800, 900, 1000]


def test_slices_of_the_layers() -> None:
    """Each of three slices tells of a third of a pass; with three blocks read there are only batches."""
    found = told(asked("layers", "ring", 3))
    assert medians(found)["denoise"][:3] == pytest.approx([1000, 1100, 1300], abs=3)


def test_a_decoder_in_parts() -> None:
    parts = {"decode_parts": us(50, 50)}
    problem, _ = asked("sequential", "free+decoder:2", 3)
    problem = with_profile(problem, **parts)
    plan = plan_of(costed(problem, Pattern.sequential(problem.model), "free+decoder:2"))
    found = told((problem, plan), decode_parts=us(80, 80))
    assert [part.median_us for part in found.profile.decode_parts] == [80, 80]


@pytest.mark.parametrize(
    ("pattern", "workload", "name"),
    [
        ("cascade:1", {"encode_text": True}, "text_us"),
        ("sequential", {"encode_text": True, "switches": ({"at_us": 5000, "recache": True},)}, "recache_us"),
        ("sequential-recompute", {}, "encode_us"),
        ("sequential-recompute", {}, "recache_us"),
    ],
)
def test_side_work(pattern: str, workload: dict[str, object], name: str) -> None:
    problem, _ = asked(pattern, "free", 2, **workload)
    ticks = (6,) if "switches" in workload else ()
    timing = costed(problem, Pattern.parse(pattern, problem.model), "free", ticks)
    found = told((problem, plan_of(timing)), **{name: 777})
    assert getattr(found.profile, name) == 777


def test_posting() -> None:
    """What is sent takes 200 and 220 us to post; what is received is waited for before anything else is told."""
    problem, plan = hand_made("latents")
    text = """
        r0 10 110 denoise b0.s0
        r0 110 1300 send kv b0.s0 to r1
        r0 310 1210 recv kv b1.s0 from r1
        r0 1220 1370 denoise b2.s0
        r0 1370 1370 free kv b0.s0
        r0 1370 1370 free kv b1.s0
        r0 1370 1370 free kv b2.s0
        r1 10 410 recv kv b0.s0 from r0
        r1 420 570 denoise b1.s0
        r1 570 1300 send kv b1.s0 to r0
        r1 790 790 free kv b0.s0
        r1 1300 1300 free kv b1.s0
    """
    runs = [trace_of(plan, text, "measured")] * 3
    assert calibrate(problem, plan, *runs).profile.post_us == 210
    assert calibrate(problem, plan, trace_of(plan, text)).profile.post_us == 0, "a simulation does not show it"
    assert hand_run("posts").profile.post_us == 7


# -- without a profile ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "placement"),
    [("cascade:1", "free"), ("sequential", "free+decoder:2"), ("cascade:1:live-joint", "block"), ("layers", "ring")],
)
def test_data_sheets_are_where_it_starts_without_a_profile(pattern: str, placement: str) -> None:
    problem = clip(model(2, clean=True, window=4), 6, 3).model_copy(update={"profile": None})
    plan = plan_of(costed(problem, Pattern.parse(pattern, problem.model), placement))
    found = calibrate(problem, plan, simulate(plan, problem))
    assert parts_of(found) == {}
    assert found.profile.software.startswith("data sheet, calibrated by plan ")
    new = costed(found.calibrated(problem), plan.pattern, plan.placement)
    again = makespan_us(retime([[row.action for row in rows] for rows in plan.ranks], new))
    assert again == pytest.approx(plan.makespan_us, rel=0.002)


# -- several runs, and the loop ------------------------------------------------------------------


def test_several_runs_are_pooled_and_the_middle_one_told() -> None:
    problem, plan = asked("cascade:1", "free", 2)
    runs = [simulate(plan, problem, Conditions(jitter=Jitter.of(0.2), seed=seed)) for seed in range(5)]
    found = calibrate(problem, plan, *runs)
    assert found.makespans_us == tuple(run.makespan_us for run in runs)
    assert found.losses.measured_us == sorted(found.makespans_us)[2]
    assert found.profile.decode.samples == 5 * 6


def test_calibrating_by_one_runs_own_plan_plans_the_same() -> None:
    """The loop closes: what a run without jitter says is what was planned by."""
    problem = clip(model(2, clean=True, window=4), 5, 2)
    plan = search(problem)
    found = calibrate(problem, plan, simulate(plan, problem))
    again = search(found.calibrated(problem))
    assert again.makespan_us == plan.makespan_us
    assert again.ranks == plan.ranks


@settings(max_examples=60)
@given(listed(), st.integers(0, 9))
def test_without_jitter_the_same_is_foretold(made: tuple[Problem, Plan], seed: int) -> None:
    problem, plan = made
    if problem.profile is not None:
        found = calibrate(problem, plan, simulate(plan, problem, Conditions(seed=seed)))
        new = retime([[row.action for row in rows] for rows in plan.ranks], priced(found.calibrated(problem), plan))
        assert new == plan.ranks


@pytest.mark.parametrize("pattern", ["sequential", "cascade:1", "cascade:1:live-causal", "cascade:2"])
def test_jittery_runs_are_foretold_closely(pattern: str) -> None:
    problem, plan = asked(pattern, "free", 3)
    runs = [simulate(plan, problem, Conditions(jitter=Jitter.of(0.05), seed=seed)) for seed in range(9)]
    found = calibrate(problem, plan, *runs)
    new = retime([[row.action for row in rows] for rows in plan.ranks], priced(found.calibrated(problem), plan))
    assert makespan_us(new) == pytest.approx(found.losses.measured_us, rel=0.05)


def test_a_stream_is_calibrated_in_full() -> None:
    problem = clip(model(2, clean=True, window=3), 600, 2)
    plan = search(problem)
    assert plan.repeat is not None
    found = calibrate(problem, plan, simulate(plan, problem, Conditions(jitter=Jitter.of(0.1), seed=1)))
    assert found.losses.blocks == 600
    assert sum(part.makespan_us for part in found.losses.parts) == found.losses.whole_us


# -- values and errors ---------------------------------------------------------------------------


def test_a_calibration_is_a_document() -> None:
    found = hand_run("decoded")
    assert Calibration.from_json(found.to_json()) == found
    assert found.schema_name == "blockcascade.calibration/1"
    assert Profile.from_json(found.profile.to_json()) == found.profile


def test_traces_of_other_plans_are_refused() -> None:
    problem, plan = hand_made("decoded")
    other = simulate(plan, problem).model_copy(update={"plan_digest": "0" * 64})
    with pytest.raises(MismatchError, match="of plan 000000000000"):
        calibrate(problem, plan, simulate(plan, problem), other)


def test_kinds_of_traces_are_not_mixed() -> None:
    problem, plan = hand_made("decoded")
    trace = simulate(plan, problem)
    with pytest.raises(MismatchError, match="cannot be mixed"):
        calibrate(problem, plan, trace, trace.model_copy(update={"kind": "measured"}))


def test_plans_of_other_problems_are_refused() -> None:
    problem, plan = hand_made("decoded")
    trace, other = simulate(plan, problem), with_profile(problem, post_us=1)
    with pytest.raises(MismatchError, match="plan again"):
        calibrate(other, plan, trace)
    with pytest.raises(MismatchError, match=r"^calibration: of problem"):
        calibrate(problem, plan, trace).calibrated(other)


def test_mixed_devices_have_no_profile() -> None:
    devices = Cluster.of("h100", 1).devices + Cluster.of("a100", 1).devices
    cluster = Cluster.of("h100", 2).model_copy(update={"devices": devices})
    problem = clip(model(2), 3, 2).model_copy(update={"cluster": cluster, "profile": None})
    plan = plan_of(costed(problem, Pattern.sequential(problem.model), "free"))
    with pytest.raises(InputError, match=r"^cluster: has a100 and h100; a profile is of one kind of device"):
        calibrate(problem, plan, simulate(plan, problem))


def test_endless_plans_are_refused() -> None:
    problem = clip(model(2, clean=True, window=3), 10**6, 2)
    plan = search(problem)
    trace = Trace(plan_digest=plan.digest, kind="measured", last_step=1, ranks=plan.ranks)
    with pytest.raises(
        InputError, match=r"^plan: \d+ copies of a kernel of \d+ actions are too many to play; plan a clip of at most "
    ):
        calibrate(problem, plan, trace)
