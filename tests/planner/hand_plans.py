"""Plans on two ranks whose every time can be reckoned by hand."""

from __future__ import annotations

from models.catalog import load_spec
from models.spec import ModelSpec
from planner.check import violations
from planner.checking.proof import proven
from planner.cluster import Cluster
from planner.cost import Costs
from planner.patterns import Pattern
from planner.plan import Evidence, Plan
from planner.problem import Problem
from planner.profile import Profile, Timing
from planner.rows import makespan_us, rows_from_text
from planner.workload import Workload
from tests.planner.clips import costed

# A frame a block, no clean pass, each block reads the one before: K/V of 147456 bytes takes 10 + ceil(147456 / 1500)
# = 109 us, latents of 1024 bytes 10 + 1 = 11 us.
TINY = ModelSpec.model_validate(
    load_spec("toy").model_dump()
    | {"name": "tiny", "frames_per_block": 1, "window": 2, "sink": 0, "timesteps": [1000], "clean_pass": False}
)

TWO_STEPS = TINY.model_copy(update={"timesteps": (1000.0, 500.0)})


def us(median: int) -> Timing:
    return Timing(median_us=median, p95_us=median, samples=1)


def tiny(blocks: int, *, decode: bool, spec: ModelSpec = TINY, post_us: int = 0) -> Problem:
    """On two ranks: 100 us for a first pass and 150 us after a block, 40 us for the first decode and then 60 us."""
    profile = Profile(
        model="tiny",
        device="cpu-core",
        software="invented",
        denoise=(us(100), us(150)),
        decode_first=us(40),
        decode=us(60),
        post_us=post_us,
        link_latency_us=10,
        link_bandwidth_gbps=1.5,
    )
    workload = Workload(blocks=blocks, decode=decode)
    return Problem(model=spec, cluster=Cluster.of("cpu-core", 2), workload=workload, profile=profile)


def by_hand(problem: Problem, text: str, pattern: str = "sequential", placement: str = "free") -> Plan:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    rows = rows_from_text(iter(enumerate(lines, start=1)), 2)
    value = makespan_us(rows)
    return Plan(
        problem_digest=problem.digest,
        pattern=Pattern.parse(pattern, problem.model),
        placement=placement,
        last_step=problem.model.steps - 1,
        ranks=rows,
        evidence=Evidence(
            status="FEASIBLE", value=value, bound=value - 1, bound_by="critical path", solver="by hand", version="1"
        ),
    )


PAIR = tiny(2, decode=True)

GOOD_PAIR = """
    r0 0 100 denoise b0.s0
    r0 100 209 send kv b0.s0 to r1
    r0 100 140 decode b0
    r0 140 140 free latents b0.s0
    r0 209 209 free kv b0.s0
    r0 359 370 recv latents b1.s0 from r1
    r0 370 430 decode b1
    r0 430 430 free latents b1.s0
    r1 100 209 recv kv b0.s0 from r0
    r1 209 359 denoise b1.s0
    r1 359 370 send latents b1.s0 to r0
    r1 359 359 free kv b0.s0
    r1 359 359 free kv b1.s0
    r1 370 370 free latents b1.s0
"""

TRIO = tiny(3, decode=False)

GOOD_TRIO = """
    r0 0 100 denoise b0.s0
    r0 100 209 send kv b0.s0 to r1
    r0 359 468 recv kv b1.s0 from r1
    r0 468 618 denoise b2.s0
    r0 618 618 free kv b0.s0
    r0 618 618 free kv b1.s0
    r0 618 618 free kv b2.s0
    r1 100 209 recv kv b0.s0 from r0
    r1 209 359 denoise b1.s0
    r1 359 468 send kv b1.s0 to r0
    r1 359 359 free kv b0.s0
    r1 468 468 free kv b1.s0
"""

# b1.s0 reads b0.s1 of the same tick. A layer of the passes is ceil(100 / 6) = 17 and ceil(150 / 6) = 25 us, on its way
# it is 10 + ceil(24576 / 1500) = 27 us: six take until 117 + 6 x 27 = 279 us, and the reader ends a layer later.
LIVE = tiny(2, decode=False, spec=TWO_STEPS)

GOOD_LIVE = """
    r0 0 100 denoise b0.s0
    r0 117 279 stream kv b0.s1 to r1
    r0 100 100 free kv b0.s0
    r0 100 200 denoise b0.s1
    r0 200 200 free latents b0.s0
    r0 279 279 free kv b0.s1
    r1 117 279 tap kv b0.s1 from r0
    r1 144 304 denoise b1.s0
    r1 304 304 free kv b1.s0
    r1 304 454 denoise b1.s1
    r1 454 454 free latents b1.s0
    r1 454 454 free kv b0.s1
    r1 454 454 free kv b1.s1
"""

# Tick 1 runs b0.s1 and b1.s0 as one gang, for as long as the second takes and for the six layers in which K/V of
# 24576 bytes goes round: 150 + 6 x (300 + 10 + 24576 / 1500) = 2108.3 us.
GANG = tiny(2, decode=False, spec=TWO_STEPS)

GOOD_GANG = """
    r0 0 100 tick 0 b0.s0
    r0 100 2209 tick 1 b0.s1
    r0 2209 2209 free latents b0.s0
    r0 2209 2359 tick 2
    r0 2359 2359 free kv b0.s1
    r1 0 100 tick 0
    r1 100 2209 tick 1 b1.s0
    r1 2209 2359 tick 2 b1.s1
    r1 2359 2359 free latents b1.s0
    r1 2359 2359 free kv b0.s1
"""

# Posting takes the host 7 us, so what follows on the rank starts later.
POST = tiny(2, decode=False, post_us=7)

GOOD_POST = """
    r0 0 100 denoise b0.s0
    r0 100 209 send kv b0.s0 to r1
    r0 209 209 free kv b0.s0
    r1 100 209 recv kv b0.s0 from r0
    r1 209 359 denoise b1.s0
    r1 359 359 free kv b0.s0
    r1 359 359 free kv b1.s0
"""

BY_HAND = {
    "decoded": (PAIR, GOOD_PAIR, "sequential", "free"),
    "latents": (TRIO, GOOD_TRIO, "sequential", "block"),
    "live": (LIVE, GOOD_LIVE, "cascade:1:live-causal", "block"),
    "gang": (GANG, GOOD_GANG, "cascade:1:live-joint", "block"),
    "posts": (POST, GOOD_POST, "sequential", "free"),
}


def broken(name: str, *changes: tuple[str, str]) -> list[str]:
    """What is wrong with one of these plans after some of its text is replaced."""
    problem, text, pattern, placement = BY_HAND[name]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    plan = by_hand(problem, text, pattern, placement)
    assert proven(plan, problem) is None
    return violations(plan, problem)


def priced(problem: Problem, plan: Plan) -> Costs:
    return costed(problem, plan.pattern, plan.placement, plan.switch_ticks)


def with_memory(problem: Problem, rank: int, memory_bytes: int) -> Problem:
    devices = list(problem.cluster.devices)
    devices[rank] = devices[rank].model_copy(update={"memory_bytes": memory_bytes})
    cluster = problem.cluster.model_copy(update={"devices": tuple(devices)})
    return problem.model_copy(update={"cluster": cluster})
