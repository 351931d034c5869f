"""All the figures of a clip: by hand, with `planner.metrics` where both have one, and as docs/metrics.md names them."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings

from planner.action import Action, TimedAction
from planner.cluster import DEVICES, Device
from planner.conditions import Conditions, Jitter, Outage, Player
from planner.errors import MismatchError
from planner.measures import LinkMeasures, Measures, RankMeasures, measure
from planner.measuring.blocks import Often, counted
from planner.measuring.labels import LABELS, LINK_COLUMNS, RANK_COLUMNS, SWITCH, figure_rows, link_row, rank_row
from planner.measuring.loads import LinkLoad, link_loads, peaks, priced, rank_load
from planner.memory import peak_bytes
from planner.metrics import metrics
from planner.patterns import Pattern
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import busy_us
from planner.search import plan
from planner.simulate import simulate
from planner.streams.unroll import unroll
from planner.trace import Trace
from tests.planner.clips import KV_BYTES, LATENT_BYTES, cascade, clip, model
from tests.planner.hand_plans import BY_HAND
from tests.planner.measuring.test_blocks import stream
from tests.planner.runs_by_hand import changed, hand_made, trace_of
from tests.strategies import listed

DOCS = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
ABOUT = {"schema_name", "plan_digest", "kind", "stopped", "player"}


def test_every_label_is_defined_once_beside_its_field() -> None:
    lines = [line.split("|")[1:3] for line in DOCS.read_text().splitlines() if re.match(r"\|[^|]+\| `", line)]
    defined = {label.strip(): re.findall(r"`(\w+)`", fields) for label, fields in lines}
    assert len(defined) == len(lines)
    assert set(defined) == {label.label for label in LABELS} | {SWITCH, *RANK_COLUMNS, *LINK_COLUMNS}
    assert [defined[label.label] for label in LABELS] == [[label.field] for label in LABELS]
    of_parts = [field for label in (*RANK_COLUMNS, *LINK_COLUMNS) for field in defined[label]]
    assert sorted(of_parts) == sorted([*RankMeasures.model_fields, *LinkMeasures.model_fields])


def test_every_figure_has_a_label() -> None:
    figures = set(Measures.model_fields) - ABOUT - {"ranks", "links", "blocks_asked", "switches_us"}
    assert figures == {label.field for label in LABELS}
    assert len(LABELS) == len(figures)
    assert "`blocks_asked`" in DOCS.read_text()


def test_two_blocks_on_two_ranks_by_hand() -> None:
    problem, made = hand_made("decoded")
    spec = problem.model
    assert (spec.pixel_frames(0), spec.pixel_frames(1), spec.frame_rate) == (1, 4, 16.0)
    found = measure(problem, made)
    told = found.model_dump(exclude=ABOUT | {"ranks", "links"})
    # 1 + 4 frames play for 5/16 of a second.
    price = 2 * 0.05 * 430 / 3.6e9
    assert told == {
        "blocks": 2,
        "blocks_asked": 2,
        "frames": 5,
        "makespan_us": 430,
        "fps": pytest.approx(5 / 430e-6),
        "fps_without_decode": pytest.approx(5 / 359e-6),
        "steady_fps": pytest.approx(4 / 290e-6),
        "real_time_factor": pytest.approx(5 / 430e-6 / 16),
        "first_frame_us": 140,
        "period_us": 290.0,
        "period_p50_us": 290,
        "period_p95_us": 290,
        "period_p99_us": 290,
        "block_latency_us": 430 - 209,
        "control_us": 430,
        "control_p95_us": 430,
        "switches_us": (),
        "play_start_us": 140,
        "deadline_attainment": 1.0,
        "underruns": 0,
        "stall_us": 0,
        "devices": 2,
        "money": pytest.approx(price),
        "money_per_minute": pytest.approx(price / (5 / 16 / 60)),
        "energy_joules": None,
        "energy_per_minute": None,
    }
    assert [(rank.busy_us, rank.utilization, rank.bubble) for rank in found.ranks] == [
        (200, 200 / 430, 1 - 200 / 430),
        (150, 150 / 430, 0.0),
    ]
    there, back = found.links
    assert (there.source, there.target, there.bytes, there.busy) == (0, 1, KV_BYTES, 109 / 430)
    assert (back.source, back.target, back.bytes, back.busy) == (1, 0, LATENT_BYTES, 11 / 430)
    assert (found.kind, found.stopped, found.plan_digest) == ("planned", "", made.digest)


@pytest.mark.parametrize(("at_us", "shown"), [(0, 0), (1, 1), (400, None), (10**9, 4)])
def test_a_switch_shows_with_the_first_block_that_is_all_its_own(at_us: int, shown: int | None) -> None:
    """At 0 all blocks read it; a switch after the clip shows nowhere."""
    problem = clip(model(2), 4, asked={"switches": [{"at_us": at_us, "recache": False}]})
    made = plan(problem, pattern=Pattern.parse("sequential", problem.model))
    found = measure(problem, made)
    begun = [row.start_us for row in made.ranks[0] if str(row.action).endswith(".s0") and "denoise" in str(row.action)]
    first = next((block for block, start in enumerate(begun) if start >= at_us), 4)
    assert shown in (first, None)
    us = made.finished_us[first] - at_us if first < 4 else None
    assert found.switches_us == (us,)
    text = "-" if us is None else f"{us / 1000:.1f} ms"
    assert dict(figure_rows(found))["control to output, switch 1"] == text


def test_a_rank_that_goes_for_good() -> None:
    problem = clip(model(2), 6, 2)
    made = plan(problem, pattern=cascade(1))
    at_us = made.finished_us[3] + 1
    trace = simulate(made, problem, Conditions(outages=(Outage(rank=0, at_us=at_us),)))
    found = measure(problem, made, trace)
    assert trace.stopped == found.stopped != ""
    assert found.blocks == trace.finished_blocks == len(trace.finished_us) < 6
    assert found.blocks_asked == 6
    assert found.first_frame_us == made.finished_us[0]
    assert found.deadline_attainment <= found.blocks / 6


def test_a_player_who_never_gets_the_start_buffer_never_starts() -> None:
    problem = clip(model(2), 6, 2)
    made = plan(problem)
    gone = Conditions(outages=(Outage(rank=0, at_us=made.finished_us[1] + 1),))
    trace = simulate(made, problem, gone)
    assert trace.finished_blocks == 2
    found = measure(problem, made, trace, Player(start_blocks=3))
    assert (found.play_start_us, found.deadline_attainment, found.underruns, found.stall_us) == (None, 0.0, 0, 0)
    starts = measure(problem, made, trace, Player(start_blocks=2))
    assert (starts.play_start_us, starts.deadline_attainment) == (trace.finished_us[1], 2 / 6)
    # All of a clip is enough, however many it wants.
    assert measure(problem, made, player=Player(start_blocks=9)).play_start_us == max(made.finished_us)


def slow(problem: Problem, frame_rate: float) -> Problem:
    return problem.model_copy(update={"model": problem.model.model_copy(update={"frame_rate": frame_rate})})


def test_a_viewer_who_is_too_fast() -> None:
    """At 5000 frames a second block 1 is due 200 us after block 0 is shown at 140, and comes at 430."""
    problem, made = hand_made("decoded")
    fast = slow(problem, 5000.0)
    made = made.model_copy(update={"problem_digest": fast.digest})
    found = measure(fast, made)
    assert (found.play_start_us, found.underruns, found.stall_us, found.deadline_attainment) == (140, 1, 90, 0.5)
    assert found.real_time_factor == pytest.approx(5 / 430e-6 / 5000)
    waits = measure(fast, made, player=Player(start_blocks=2))
    assert (waits.play_start_us, waits.underruns, waits.stall_us, waits.deadline_attainment) == (430, 0, 0, 1.0)


def test_percentiles_are_of_all_blocks() -> None:
    problem = clip(model(1), 141, decode=False)
    made = plan(problem)
    trace = simulate(made, problem, Conditions(jitter=Jitter.of(0.5), seed=1))
    found, finished = measure(problem, made, trace), trace.finished_us
    begun = [0, *finished]  # one rank, one pass a block
    periods = sorted(after - before for before, after in pairwise(finished))
    waits = sorted(after - before for before, after in zip(begun, finished[1:], strict=False))
    assert (found.period_p50_us, found.period_p95_us, found.period_p99_us) == (periods[70], periods[133], periods[138])
    assert (found.control_p95_us, found.control_us) == (waits[133], waits[139])
    assert len({periods[70], periods[133], periods[138], periods[139]}) == 4


def test_power_makes_energy() -> None:
    problem, made = hand_made("decoded")
    device = Device.model_validate(problem.cluster.devices[0].model_dump() | {"power_watts": 1000})
    first, both = (device, problem.cluster.devices[1]), (device, device)
    for devices, joules in ((both, 0.35), (first, None)):
        warm = problem.model_copy(update={"cluster": problem.cluster.model_copy(update={"devices": devices})})
        found = measure(warm, made.model_copy(update={"problem_digest": warm.digest}))
        assert found.energy_joules == (joules and pytest.approx(joules))
        assert found.energy_per_minute == (joules and pytest.approx(joules * 16 / 5 * 60))


def test_half_a_run_is_measured_over_what_finished() -> None:
    problem, made = hand_made("decoded")
    whole = trace_of(made, BY_HAND["decoded"][1])
    ranks = tuple(tuple(row for row in rows if row.start_us < 250) for rows in whole.ranks)
    found = measure(problem, made, whole.model_copy(update={"ranks": ranks}))
    assert (found.blocks, found.blocks_asked, found.frames, found.makespan_us) == (1, 2, 1, 359)
    assert (found.first_frame_us, found.period_us, found.control_us) == (140, 140.0, 140)
    assert (found.deadline_attainment, found.underruns) == (0.5, 0)
    assert found.fps == pytest.approx(1 / 359e-6)
    nothing = measure(problem, made, whole.model_copy(update={"ranks": ((), ())}))
    assert (nothing.blocks, nothing.fps, nothing.first_frame_us, nothing.money_per_minute) == (0, 0.0, None, None)
    assert (nothing.deadline_attainment, nothing.devices, nothing.links) == (0.0, 0, ())
    assert dict(figure_rows(nothing))["time to first frame"] == "-"


def test_a_measured_transfer_is_under_way_while_both_ends_are_at_it() -> None:
    """From when both have posted it until one has noticed its end, whichever that is."""
    problem, made = hand_made("decoded")
    for sender, receiver, us in (("100 300", "50 209", 109), ("50 209", "100 300", 109), ("100 250", "130 200", 70)):
        rows = (("r1 100 209 recv", f"r1 {receiver} recv"), ("r0 100 209 send", f"r0 {sender} send"))
        run = trace_of(made, changed(BY_HAND["decoded"][1], *rows), "measured")
        assert link_loads(counted(made, run.ranks), priced(problem, made))[0, 1] == LinkLoad(KV_BYTES, us)


def test_what_overlaps_on_a_way_is_under_way_once() -> None:
    problem, made = hand_made("latents")
    rows = [Action.parse(text) for text in ("send kv b0.s0 to r1", "send kv b1.s0 to r1", "send kv b2.s0 to r1")]
    spans = ((0, 100), (50, 80), (90, 130))
    program = [Often(TimedAction(row, *span), 1) for row, span in zip(rows, spans, strict=True)]
    assert link_loads([program, []], priced(problem, made)) == {(0, 1): LinkLoad(3 * KV_BYTES, 130)}


def test_a_link_carries_what_is_sent() -> None:
    problem, made = hand_made("decoded")
    packed = problem.model_copy(update={"kv_transfer": "fp8"})
    there, back = measure(packed, made.model_copy(update={"problem_digest": packed.digest})).links
    assert there.bytes == packed.kv_sent_bytes(1) < KV_BYTES
    assert back.bytes == LATENT_BYTES


def test_a_row_that_runs_three_times() -> None:
    row = TimedAction(Action.parse("denoise b0.s0"), 10, 30)
    assert rank_load([Often(row, 3)], 100) == (60, 220)
    assert rank_load([], 100) == (0, 0)


@settings(max_examples=40)
@given(listed())
def test_it_agrees_with_the_metrics(made: tuple[Problem, Plan]) -> None:
    problem, given_plan = made
    found, known = measure(problem, given_plan), metrics(problem.model, problem.cluster, given_plan.ranks)
    for field in set(type(known).model_fields):
        assert getattr(found, field) == pytest.approx(getattr(known, field)), field
    assert found.fps <= found.fps_without_decode * (1 + 1e-9) or not problem.workload.decode
    run = simulate(given_plan, problem)
    assert measure(problem, given_plan, run) == found.model_copy(update={"kind": "simulated"})
    assert [rank.utilization for rank in found.ranks] == pytest.approx(list(run.utilization))
    assert all(0 <= rank.bubble < 1 for rank in found.ranks)
    assert all(0 <= link.busy <= 1 and link.bytes > 0 for link in found.links)
    assert Measures.from_json(found.to_json()) == found


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_a_stream_as_if_written_out(ranks: int) -> None:
    """The same figures from a kernel that runs many times as from all its rows."""
    problem, made = stream(ranks=ranks)
    rows = unroll(made)
    trace = Trace(plan_digest=made.digest, kind="simulated", last_step=made.last_step, ranks=rows)
    found, known = measure(problem, made), measure(problem, made, trace)
    assert found.model_copy(update={"kind": "simulated"}) == known
    assert known.makespan_us == made.whole_us
    timing = priced(problem, made)
    assert peaks(made, timing) == tuple(peak_bytes([row.action for row in program], timing) for program in rows)
    assert [rank_load(program, 0).busy_us for program in counted(made, rows)] == [busy_us(program) for program in rows]


def test_all_of_it_has_a_text() -> None:
    problem, made = hand_made("decoded")
    found = measure(problem, made)
    told = dict(figure_rows(found))
    assert told["makespan"] == "0.4 ms"
    assert told["deadline attainment"] == "100.0%"
    assert told["energy"] == "-"
    assert rank_row(found.ranks[0])[:4] == ("r0", "cpu-core", "46.5%", "53.5%")
    assert link_row(found.links[0]) == ("r0 to r1", "147,456", "25.3%")
    assert len(rank_row(found.ranks[0])) == len(RANK_COLUMNS)
    long = found.model_copy(update={"makespan_us": 3_600_000_000})
    assert dict(figure_rows(long))["makespan"] == "3,600.0 s"


def test_what_does_not_belong_together_is_refused() -> None:
    problem, made = hand_made("decoded")
    other = hand_made("latents")
    with pytest.raises(MismatchError, match="plan: made for problem"):
        measure(other[0], made)
    with pytest.raises(MismatchError, match="trace: of plan"):
        measure(problem, made, trace_of(other[1], BY_HAND["latents"][1]))


def test_power_is_left_out_of_files_where_it_is_not_known() -> None:
    bare = Device(kind="own", peak_tflops=1, memory_bytes=1, memory_gbps=1)
    assert "power_watts" not in bare.model_dump()
    assert DEVICES["h100"].model_dump()["power_watts"] == 700
    assert "power" in DEVICES["h100"].source
    assert DEVICES["cpu-core"].power_watts is None
    assert Device.model_validate(DEVICES["h100"].model_dump()) == DEVICES["h100"]
