"""What a clip's actions read and leave: by hand, and against the patterns' definition told once more."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings

from models.catalog import load_spec
from planner.action import Action, Kind, Payload
from planner.cluster import Cluster
from planner.cost import Costs
from planner.expand import expand
from planner.flow import Flow
from planner.patterns import Pattern, all_patterns
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.clips import clip, costed, model
from tests.strategies import costings

TWO = model(2, clean=True)


def needs(flow: Flow, text: str) -> str:
    return ", ".join(str(payload) for payload in flow.needs(Action.parse(text)))


def makes(flow: Flow, text: str) -> str:
    return ", ".join(str(payload) for payload in flow.makes(Action.parse(text)))


def of(problem: Problem, pattern: str, placement: str = "free", ticks: tuple[int, ...] = ()) -> Flow:
    return costed(problem, Pattern.parse(pattern, problem.model), placement, ticks).flow


def shares_of(costs: Costs) -> list[Action]:
    """Each compute action of a clip, in the tasks' order; of a tick each unit's share."""
    flow = costs.flow
    return [
        action._replace(batch=share)
        for action in expand(costs).actions
        for share in (flow.shares(action.block) if action.kind is Kind.TICK else (action.batch,))
    ]


# -- reads and leaves, by hand -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "read"),
    [
        # Of passes s0, s1, c of block 2, what they read of blocks 0 and 1.
        ("sequential", ["b0.c b1.c", "b0.c b1.c", "b0.c b1.c"]),
        ("cascade:2", ["b0.c b1.s1", "b0.c b1.c", "b0.c b1.c"]),
        ("cascade:1", ["b0.s0 b1.s0", "b0.s1 b1.s1", "b0.c b1.c"]),
        ("cascade:2:live-causal", ["b0.c b1.c", "b0.c b1.c", "b0.c b1.c"]),
        ("cascade:1:live-causal", ["b0.c b1.s1", "b0.c b1.c", "b0.c b1.c"]),
    ],
)
def test_the_levels_that_passes_read(pattern: str, read: list[str]) -> None:
    flow = of(clip(TWO, 4), pattern)
    names = ["denoise b2.s0", "denoise b2.s1", "commit b2"]
    found = [
        " ".join(str(item).removeprefix("kv ") for item in flow.needs(Action.parse(name)) if item.carries == "kv")
        for name in names
    ]
    assert found == read
    assert [needs(flow, name).partition(",")[0] for name in names[1:]] == ["latents b2.s0", "latents b2.s1"]
    assert [makes(flow, name) for name in names] == [
        "kv b2.s0, latents b2.s0",
        "kv b2.s1, latents b2.s1",
        "kv b2.c",
    ]


def test_live_passes_run_beside_what_the_same_tick_makes() -> None:
    flow = of(clip(TWO, 4), "cascade:1:live-causal")
    beside = {name: sorted(map(str, flow.beside(Action.parse(name)))) for name in ("denoise b2.s0", "denoise b2.s1")}
    # Tick 2: b2.s0, b1.s1 and b0.c; tick 3: b2.s1 and b1.c, while b0.c is done.
    assert beside == {"denoise b2.s0": ["kv b0.c", "kv b1.s1"], "denoise b2.s1": ["kv b1.c"]}
    assert not flow.beside(Action.parse("commit b2"))
    for pattern in ("cascade:1", "cascade:1:live-joint", "sequential"):
        assert not of(clip(TWO, 4), pattern, "batched" if "joint" in pattern else "free").beside(
            Action.parse("denoise b2.s0")
        )


def test_a_joint_tick_reads_what_is_finished_and_leaves_clean_kv_everywhere() -> None:
    flow = of(clip(TWO, 4, 3), "cascade:1:live-joint", "step")
    assert [flow.passes_at(tick) for tick in (0, 2, 3, 5)] == [
        ((0, 0),),
        ((0, 2), (1, 1), (2, 0)),
        ((1, 2), (2, 1), (3, 0)),
        (),
    ]
    assert flow.tick_count == 5
    # Tick 3: blocks 1 to 3 are in flight, so only block 0 is read from storage.
    assert flow.shares(3) == (((3, 0),), ((2, 1),), ((1, None),))
    assert needs(flow, "tick 3 b3.s0") == "kv b0.c"
    assert needs(flow, "tick 3 b2.s1") == "latents b2.s0, kv b0.c"
    assert needs(flow, "tick 3 b1.c") == "latents b1.s1, kv b0.c"
    assert makes(flow, "tick 3 b3.s0") == "kv b1.c, latents b3.s0"
    assert makes(flow, "tick 3 b1.c") == "kv b1.c"
    # Nothing reads the last block's K/V.
    assert makes(flow, "tick 4 b3.s1") == "kv b2.c, latents b3.s1"
    assert needs(flow, "tick 4 b3.s1 b2.c") == "latents b3.s0, kv b0.c, kv b1.c, latents b2.s1, kv b0.c, kv b1.c"


def test_a_joint_cascade_without_clean_passes_keeps_the_last_step() -> None:
    flow = of(clip(model(2), 3, 2), "cascade:1:live-joint", "block")
    assert [makes(flow, f"tick {tick}") for tick in range(4)] == ["", "kv b0.s1", "kv b1.s1", ""]


def test_batches_read_like_their_passes() -> None:
    flow = of(clip(TWO, 4, 2), "cascade:1", "batched")
    assert needs(flow, "batch 2.0 b0.c b2.s0") == "latents b0.s1, kv b0.s0, kv b1.s0"
    assert makes(flow, "batch 2.0 b0.c b2.s0") == "kv b0.c, kv b2.s0, latents b2.s0"


def test_recomputing_goes_through_pixels() -> None:
    flow = of(clip(model(2, clean=True, window=3), 4, 1), "sequential-recompute")
    assert needs(flow, "denoise b0.s1") == "latents b0.s0"
    assert needs(flow, "decode b1") == "latents b1.s1"
    assert (makes(flow, "decode b1"), makes(flow, "decode b3")) == ("pixels b1", "")
    assert (needs(flow, "encode b1"), makes(flow, "encode b1")) == ("pixels b1", "encoded b1")
    assert (needs(flow, "recache b3"), makes(flow, "recache b3")) == ("encoded b1, encoded b2", "context b3")
    assert needs(flow, "denoise b3.s1") == "latents b3.s0, context b3"
    assert makes(flow, "denoise b3.s1") == "latents b3.s1"
    tasks = expand(costed(clip(model(2, clean=True), 3), Pattern.parse("sequential-recompute", TWO))).actions
    assert [str(action) for action in tasks[4:9]] == [
        "recache b1",
        "denoise b1.s0",
        "denoise b1.s1",
        "decode b1",
        "encode b1",
    ]


def test_a_ring_hands_hidden_states_on_and_keeps_kv() -> None:
    flow = of(clip(TWO, 4, 2), "layers", "ring")
    # Two units: stage k of block b is in wave b + 2k.
    assert [flow.wave(wave) for wave in range(flow.waves)] == [
        ((0, 0),),
        ((1, 0),),
        ((0, 1), (2, 0)),
        ((1, 1), (3, 0)),
        ((0, None), (2, 1)),
        ((1, None), (3, 1)),
        ((2, None),),
    ]
    assert needs(flow, "slice 2.0 b0.s1 b2.s0") == "latents b0.s0, kv b0.s0, kv b1.s0"
    assert needs(flow, "slice 2.1 b0.s1 b2.s0") == "hidden w2.l0, latents b0.s0, kv b0.s0, kv b1.s0"
    assert makes(flow, "slice 2.0 b0.s1 b2.s0") == "kv b0.s1, kv b2.s0, hidden w2.l0"
    assert makes(flow, "slice 2.1 b0.s1 b2.s0") == "kv b0.s1, kv b2.s0, latents b0.s1, latents b2.s0"


def test_a_slice_inside_a_ring_reads_no_latents() -> None:
    flow = of(clip(TWO, 4, 3), "layers", "ring")
    assert [needs(flow, f"slice 3.{unit} b0.s1 b3.s0") for unit in range(3)] == [
        "latents b0.s0, kv b0.s0, kv b1.s0, kv b2.s0",
        "hidden w3.l0, kv b0.s0, kv b1.s0, kv b2.s0",
        "hidden w3.l1, latents b0.s0, kv b0.s0, kv b1.s0, kv b2.s0",
    ]


def test_a_decoder_in_parts_hands_features_on() -> None:
    measured = {"decode_parts": [{"median_us": 10, "p95_us": 10, "samples": 1}] * 3}
    flow = of(clip(TWO, 2, 4, measured=measured), "sequential", "free+decoder:3")
    assert [needs(flow, f"decode b1.d{part}") for part in range(3)] == [
        "latents b1.s1",
        "features b1.d0",
        "features b1.d1",
    ]
    assert [makes(flow, f"decode b1.d{part}") for part in range(3)] == ["features b1.d0", "features b1.d1", ""]


# -- a first block of its own --------------------------------------------------------------------


def test_a_first_block_of_more_steps_begins_earlier() -> None:
    spec = model(2, clean=True, first_block_steps=4)
    flow = of(clip(spec, 3, 3), "cascade:1", "step")
    assert [flow.tick(0, 0), flow.tick(1, 0), flow.tick(2, 0)] == [0, 3, 4]
    assert [len(flow.stages(block)) for block in range(3)] == [5, 3, 2]
    assert flow.passes_at(4) == ((0, 4), (1, 1), (2, 0))
    # Its last stages are the levels that all share: s2 is level 0.
    assert needs(flow, "denoise b1.s0") == "kv b0.s2"
    assert needs(flow, "commit b1") == "latents b1.s1, kv b0.c"
    assert needs(flow, "decode b0") == "latents b0.s3"
    assert (needs(flow, "denoise b0.s0"), needs(flow, "denoise b0.s3")) == ("", "latents b0.s2")
    assert flow.tick_count == 6


# -- prompts -------------------------------------------------------------------------------------


def switching(recache: bool, *, text: bool = False, clean: bool = True) -> Problem:
    asked = {"encode_text": text, "switches": [{"at_us": 500, "recache": recache}]}
    return clip(model(2, clean=clean, window=4), 5, asked=asked)


def test_passes_read_the_prompt_of_their_tick() -> None:
    flow = of(switching(False, text=True), "cascade:1", ticks=(2,))
    assert needs(flow, "denoise b1.s0") == "kv b0.s0, text p0"
    assert needs(flow, "denoise b1.s1") == "latents b1.s0, kv b0.s1, text p1"
    assert needs(flow, "denoise b2.s0") == "kv b0.s0, kv b1.s0, text p1"
    assert (needs(flow, "text p1"), makes(flow, "text p1")) == ("", "text p1")
    released = [
        flow.release_us(Action.parse(name)) for name in ("denoise b1.s0", "denoise b1.s1", "text p0", "text p1")
    ]
    assert released == [0, 500, 0, 500]
    # A batch reads all its passes' prompts, and waits for the latest.
    assert needs(flow, "batch 2.0 b1.s0 b2.s0").split(", ")[-2:] == ["text p0", "text p1"]
    assert flow.release_us(Action.parse("batch 2.0 b1.s0 b2.s0")) == 500


def test_a_sequential_clip_makes_its_context_anew() -> None:
    # Three passes a block: tick 7 is in the middle of block 2, so block 3 is the first that is all new.
    flow = of(switching(True, text=True), "sequential", ticks=(7,))
    assert flow.recached == (3,)
    assert needs(flow, "recache b3") == "latents b0.s1, latents b1.s1, latents b2.s1, text p1"
    assert makes(flow, "recache b3") == "context b3"
    assert flow.release_us(Action.parse("recache b3")) == 500
    assert needs(flow, "denoise b2.s1") == "latents b2.s0, kv b0.c, kv b1.c, text p1"
    assert needs(flow, "denoise b3.s0") == "context b3, text p1"
    assert needs(flow, "denoise b4.s1") == "latents b4.s0, context b3, kv b3.c, text p1"


@pytest.mark.parametrize(
    ("pattern", "recache", "tick", "recached"),
    [
        ("sequential", True, 6, (2,)),
        ("sequential", False, 6, ()),
        ("sequential", True, 0, ()),  # there is no context yet
        ("sequential", True, 13, ()),  # no block begins after it
        ("cascade:2", True, 6, ()),  # blocks in flight take the prompt at their next pass
    ],
)
def test_when_the_context_is_made_anew(pattern: str, recache: bool, tick: int, recached: tuple[int, ...]) -> None:
    assert of(switching(recache), pattern, ticks=(tick,)).recached == recached


# -- invariants ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("blocks", "forwards"), [(1, 4), (7, 34), (27, 134)])
def test_forwards_of_self_forcing(blocks: int, forwards: int) -> None:
    spec = load_spec("self-forcing-1.3b")
    problem = Problem(model=spec, cluster=Cluster.of("h100", 5), workload=Workload(blocks=blocks))
    for pattern in all_patterns(spec):
        if pattern.name != "sequential-recompute":
            where = {"layers": "ring"}.get(pattern.name, "batched" if pattern.is_joint else "free")
            flow = costed(problem, pattern, where).flow
            assert sum(len(flow.stages(block)) for block in range(blocks)) == forwards == spec.forward_count(blocks)
            if where == "ring":
                assert sum(len(flow.wave(wave)) for wave in range(flow.waves)) == forwards
            else:
                assert sum(len(flow.passes_at(tick)) for tick in range(flow.tick_count)) == forwards


@settings(max_examples=150)
@given(costings())
def test_everything_that_is_read_was_made_before(costs: Costs) -> None:
    made: set[Payload] = set()
    for action in shares_of(costs):
        needed = set(costs.flow.needs(action))
        if action.kind is Kind.TICK:
            # Of a gang, payloads that the very tick leaves are not read by it.
            assert needed.isdisjoint(payload for payload in costs.flow.makes(action) if payload.carries == "kv")
        assert needed <= made | costs.flow.beside(action), action
        made.update(costs.flow.makes(action))


@settings(max_examples=150)
@given(costings())
def test_every_pass_runs_once_and_each_payload_is_made_once(costs: Costs) -> None:
    flow, actions = costs.flow, shares_of(costs)
    rounds = flow.layout.denoising if flow.placement.passes == "ring" else 1
    ran = Counter(item for action in actions for item in action.passes)
    every = [flow.as_pass(block, stage) for block in range(flow.blocks) for stage in flow.stages(block)]
    assert ran == Counter(dict.fromkeys(every, rounds))
    assert all(flow.as_pass(block, flow.stage((block, step))) == (block, step) for block, step in every)
    made = Counter(payload for action in actions for payload in flow.makes(action) if action.kind is not Kind.TICK)
    alone = {payload for payload in made if payload.carries != "kv" or rounds == 1}
    assert all(made[payload] == 1 for payload in alone)
    decodes = [(action.block, action.step or 0) for action in actions if action.kind is Kind.DECODE]
    assert sorted(decodes) == [(b, part) for b in range(flow.blocks) for part in range(flow.parts) if flow.decodes]


@settings(max_examples=150)
@given(costings())
def test_passes_read_the_levels_that_the_definition_names(costs: Costs) -> None:
    """`after`: min(k + (i - j)(o - 1), n); `live`: min(k + (i - j) o, n). A first block's last stages are levels."""
    flow, spec, pattern = costs.flow, costs.spec, costs.flow.pattern
    last, more = spec.passes - 1, spec.block_steps(0) - spec.steps
    if flow.recomputes or flow.recached:
        return
    for block in range(flow.blocks):
        for stage in flow.stages(block):
            level = max(0, stage - more) if block == 0 else stage
            expected = set()
            for j in spec.context_blocks(block):
                distance = block - j
                lag = pattern.offset - 1 if pattern.exchange == "after" else pattern.offset
                read = min(level + distance * lag, last)
                made_at = read + (more if j == 0 else 0)
                if not (pattern.is_joint and flow.tick(j, made_at) == flow.tick(block, stage)):
                    expected.add(("kv", *flow.as_pass(j, made_at)))
            step = flow.as_pass(block, stage)[1]
            action = Action(Kind.COMMIT if step is None else Kind.DENOISE, block, step)
            assert {tuple(item) for item in flow.needs(action) if item.carries == "kv"} == expected
            assert all(
                flow.tick(item.block, flow.stage(item[1:])) == flow.tick(block, stage) for item in flow.beside(action)
            )


@settings(max_examples=100)
@given(costings())
def test_ticks_hold_their_passes_and_units_share_them(costs: Costs) -> None:
    flow = costs.flow
    ticks: dict[int, list[tuple[int, int]]] = {}
    for block in range(flow.blocks):
        for stage in flow.stages(block):
            ticks.setdefault(flow.tick(block, stage), []).append((block, stage))
    assert flow.tick_count == max(ticks) + 1
    for tick in range(-1, flow.tick_count + 2):
        assert list(flow.passes_at(tick)) == ticks.get(tick, [])
        shares = flow.shares(tick)
        assert len(shares) == flow.layout.denoising
        assert sorted(item for share in shares for item in share) == [
            flow.as_pass(*item) for item in ticks.get(tick, [])
        ]
        for unit, share in enumerate(shares):
            assert all(flow.unit_of(block, flow.stage((block, step))) == unit for block, step in share)


@settings(max_examples=100)
@given(costings())
def test_a_joint_pass_reads_every_block_in_flight(costs: Costs) -> None:
    flow, spec = costs.flow, costs.spec
    if not flow.pattern.is_joint:
        return
    for tick in range(flow.tick_count):
        together = flow.passes_at(tick)
        for block, stage in together:
            newer = sum(other > block for other, _ in together)
            assert flow.blocks_read(block, stage) == len(spec.context_blocks(block)) + newer


@settings(max_examples=100)
@given(costings())
def test_prompts_follow_the_ticks(costs: Costs) -> None:
    flow, switches = costs.flow, costs.problem.workload.switches
    for action in shares_of(costs):
        prompts = [flow.prompt(block, flow.stage((block, step))) for block, step in action.passes]
        for prompt, (block, step) in zip(prompts, action.passes, strict=True):
            tick = flow.tick(block, flow.stage((block, step)))
            assert prompt == sum(tick >= at for at in flow.switch_ticks)
        read = {payload.block for payload in flow.needs(action) if payload.carries == "text"}
        if action.passes:
            assert read == (set(prompts) if flow.encodes_text else set())
            latest = max(prompts)
            assert flow.release_us(action) == (switches[latest - 1].at_us if latest else 0)
