"""Small valid plans of every kind that there is, for the checker to accept and for mutants to spoil."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

from models.catalog import load_spec
from models.spec import ModelSpec
from planner.action import OF_PASSES, Kind, TimedAction
from planner.cluster import DEVICES, Cluster, Link
from planner.patterns import Pattern
from planner.plan import Plan, Repeat
from planner.problem import Problem
from planner.profile import Profile, Timing
from planner.rows import finished_us
from planner.workload import PromptSwitch, Workload
from tests.planner.clips import costed, plan_of, timed

Made = tuple[Problem, Plan]

# What each plan is of: pattern, placement, and what is special about its problem.
KINDS: dict[str, tuple[str, str, dict[str, object]]] = {
    "sequential": ("sequential", "free", {}),
    "one rank": ("cascade:2", "free", {"ranks": 1}),
    "latents": ("cascade:1", "step", {"decode": False}),
    "by block": ("cascade:2", "block", {}),
    "by step": ("same-level", "step+decoder", {"ranks": 3}),
    "parts": ("cascade:2", "free+decoder:2", {"ranks": 4}),
    "batches": ("cascade:1", "batched", {}),
    "batches of groups": ("cascade:2", "batched*ulysses:2", {"ranks": 4}),
    "slices": ("layers", "ring", {"ranks": 3}),
    "slices apart": ("layers", "ring+decoder:2", {"ranks": 4, "encode_text": True}),
    "recompute": ("sequential-recompute", "free+decoder", {}),
    "recompute in parts": ("sequential-recompute", "free+decoder:2", {"ranks": 3}),
    "recompute in groups": ("sequential-recompute", "free*tensor:2", {"ranks": 4}),
    "live by block": ("cascade:1:live-causal", "block", {"ranks": 3}),
    "live by step": ("cascade:2:live-causal", "step", {"ranks": 4}),
    "live groups": ("cascade:1:live-causal", "block*ulysses:2", {"ranks": 4}),
    "joint by block": ("cascade:1:live-joint", "block", {"ranks": 3}),
    "joint by step": ("cascade:2:live-joint", "step", {"ranks": 3, "decode": False}),
    "joint batched": ("cascade:1:live-joint", "batched+decoder", {"ranks": 3}),
    "joint groups": ("cascade:1:live-joint", "block*tensor:2", {"ranks": 4}),
    "groups": ("cascade:2", "block*ulysses:2", {"ranks": 4, "encode_text": True}),
    "text": ("cascade:1", "free", {"encode_text": True}),
    "prompts": ("cascade:1", "free", {"encode_text": True, "switches": ((900, False), (2600, False))}),
    "prompts in a ring": ("layers", "ring", {"encode_text": True, "switches": ((900, False),)}),
    "prompts in ticks": ("cascade:1:live-joint", "block", {"encode_text": True, "switches": ((900, False),)}),
    "recache": ("sequential", "free", {"encode_text": True, "switches": ((900, True), (2600, True))}),
    "recache in groups": ("sequential", "free*ulysses:2", {"ranks": 4, "switches": ((900, True),)}),
    "no clean pass": ("cascade:1", "free", {"clean": False}),
    "no clean pass in ticks": ("cascade:1:live-joint", "block", {"clean": False}),
    "another first block": ("cascade:1", "free", {"first": True}),
    "another first block in ticks": ("cascade:1:live-joint", "step", {"first": True}),
    "another first block of one step": ("cascade:1:live-joint", "block", {"first": True, "clean": False, "steps": 1}),
    "another first block live": ("cascade:1:live-causal", "block", {"first": True}),
    "posts": ("cascade:1", "step", {"post_us": 7, "ranks": 3}),
    "live posts": ("cascade:1:live-causal", "block", {"post_us": 7, "ranks": 3}),
    "ports": ("cascade:1", "block", {"sharing": "port", "ranks": 4}),
    "bus": ("cascade:1", "step", {"sharing": "bus", "ranks": 4}),
    "nodes": ("cascade:1", "step", {"nodes": (2, 2), "ranks": 4}),
    "ranks left out": ("cascade:1", "free@2", {"ranks": 3}),
    "unlike devices": ("cascade:2", "free+decoder", {"devices": ("h100", "a100", "l40s")}),
}
STREAMS: dict[str, tuple[str, str, dict[str, object]]] = {
    "stream": ("sequential", "free", {"ranks": 1}),
    "stream by step": ("same-level", "step+decoder", {"ranks": 3}),
    "stream of groups": ("cascade:2", "block*ulysses:2", {"ranks": 4}),
    "stream in ticks": ("cascade:1:live-joint", "block", {"ranks": 2}),
    "stream in batches": ("cascade:2", "batched", {"ranks": 1}),
    "stream in a ring": ("layers", "ring", {"ranks": 2}),
    "stream of pixels": ("sequential-recompute", "free+decoder", {"ranks": 2}),
    "live stream": ("cascade:1:live-causal", "block", {"ranks": 2}),
}


@cache
def made(kind: str) -> Made:
    """One of KINDS or of STREAMS."""
    if kind in STREAMS:
        return _stream(kind)
    pattern, placement, special = KINDS[kind]
    problem = _problem(special, blocks=5)
    ticks = tuple(2 + 3 * number for number in range(len(problem.workload.switches)))
    if pattern == "sequential":
        ticks = tuple(tick * 2 for tick in ticks)
    return problem, plan_of(costed(problem, Pattern.parse(pattern, problem.model), placement, ticks))


def spec(special: dict[str, object]) -> ModelSpec:
    """The toy with two steps, one frame a block, a sink and a window of three blocks."""
    changes: dict[str, object] = {
        "name": "checked",
        "frames_per_block": 1,
        "window": 3,
        "sink": 1,
        "timesteps": (1000, 500) if special.get("steps", 2) == 2 else (1000,),
        "clean_pass": special.get("clean", True),
        "text_encoder_parameters": 10**5,
    }
    if special.get("first"):
        changes |= {"first_block_steps": 3, "first_block_frames": 2}
    return ModelSpec.model_validate(load_spec("toy").model_dump() | changes)


def _problem(special: dict[str, object], blocks: int) -> Problem:
    model = spec(special)
    workload = Workload.model_validate(
        {
            "blocks": blocks,
            "decode": special.get("decode", True),
            "encode_text": special.get("encode_text", False),
            "switches": tuple(PromptSwitch(at_us=at, recache=anew) for at, anew in special.get("switches", ())),  # type: ignore[attr-defined]
        }
    )
    kinds = special.get("devices")
    if kinds is not None:
        link = Link(kind="slow", latency_us=20, bandwidth_gbps=2)
        cluster = Cluster(devices=tuple(DEVICES[kind] for kind in kinds), link=link)  # type: ignore[attr-defined]
        return Problem(model=model, cluster=cluster, workload=workload)
    return Problem(model=model, cluster=_cluster(special), workload=workload, profile=_profile(model, special))


def _cluster(special: dict[str, object]) -> Cluster:
    cluster = Cluster.of("cpu-core", int(special.get("ranks", 2)))  # type: ignore[call-overload]
    if "nodes" not in special:
        return cluster
    network = Link(kind="network", latency_us=9, bandwidth_gbps=2, sharing="port", collective_us=3)
    return cluster.model_copy(update={"nodes": special["nodes"], "network": network})


def _profile(model: ModelSpec, special: dict[str, object]) -> Profile:
    """Passes of 300 us and more, K/V of about 80 us."""

    def us(*medians: int) -> tuple[Timing, ...]:
        return tuple(Timing(median_us=median, p95_us=median, samples=1) for median in medians)

    return Profile.model_validate(
        {
            "model": model.name,
            "device": "cpu-core",
            "software": "invented",
            "denoise": us(300, 341, 382),
            "clean": us(290, 333),
            "decode_first": us(90)[0],
            "decode": us(210)[0],
            "decode_parts": us(100, 110),
            "encode_us": 77,
            "recache_us": 155,
            "text_us": 66,
            "block_overhead_us": 11,
            "tick_overhead_us": 13,
            "batch_share": (0.5,),
            "post_us": special.get("post_us", 0),
            "link_latency_us": 5,
            "link_bandwidth_gbps": 2.0,
            "link_sharing": special.get("sharing", "pair"),
        }
    )


# -- streams -------------------------------------------------------------------------------------


def _stream(kind: str) -> Made:
    """A plan of 17 blocks whose kernel repeats eleven times more, for a clip of that many blocks."""
    pattern_text, placement, special = STREAMS[kind]
    short = _problem(special, blocks=17)
    pattern = Pattern.parse(pattern_text, short.model)
    costs = costed(short, pattern, placement)
    plan = plan_of(costs, timed(costs, "oldest block"))
    for blocks in (1, 2, 3, 4, 6):
        repeat = _repeat(plan, blocks)
        if repeat is not None:
            break
    assert repeat is not None, f"{kind} has no kernel"
    workload = short.workload.model_copy(update={"blocks": 17 + 11 * repeat.kernel_blocks})
    long = short.model_copy(update={"workload": workload})
    value = plan.makespan_us + repeat.copies * repeat.kernel_us
    evidence = plan.evidence.model_copy(update={"value": value})
    return long, plan.model_copy(update={"problem_digest": long.digest, "repeat": repeat, "evidence": evidence})


def _repeat(plan: Plan, blocks: int) -> Repeat | None:
    """The last of several equal kernels in a row, if there are so many."""
    ends = finished_us(plan.ranks, plan.last_step)
    rounds, period = max(2, 4 // blocks), ends[8] - ends[8 - blocks]
    begins = [ends[9] - turn * period for turn in range(rounds, -1, -1)]
    repeat = Repeat(first_block=1, kernel_blocks=blocks, kernel_us=period, copies=11, places=())
    places = []
    for rows in plan.ranks:
        starts = _following(rows)
        cuts = [sum(start < begin for start in starts) for begin in begins]
        kernels = [rows[a:b] for a, b in pairwise(cuts)]
        if any(later != tuple(_moved(row, plan, repeat) for row in kernel) for kernel, later in pairwise(kernels)):
            return None
        places.append((cuts[-2], cuts[-1]))
    return repeat.model_copy(update={"places": tuple(places)})


def _following(rows: tuple[TimedAction, ...]) -> list[int]:
    """When the first compute action at or after each row starts."""
    found: list[int] = []
    after = 10**15
    for row in reversed(rows):
        after = row.start_us if row.action.is_compute else after
        found.append(after)
    return found[::-1]


def _moved(row: TimedAction, plan: Plan, repeat: Repeat) -> TimedAction:
    """A row one kernel later, of a model whose sink is one block."""
    action, blocks, later = row.action, repeat.kernel_blocks, repeat.kernel_us
    batch = tuple((block + (blocks if block else 0), step) for block, step in action.batch)
    on = blocks if action.block or action.carries == "hidden" else 0
    if action.kind in OF_PASSES:
        on = blocks * (1 if action.kind is Kind.SLICE else plan.pattern.offset)
    moved = action._replace(block=action.block + on, batch=batch)
    return TimedAction(moved, row.start_us + later, row.end_us + later)
