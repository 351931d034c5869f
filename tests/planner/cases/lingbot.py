"""LingBot World 2 in vLLM-Omni: what a block's parts add up to, and what two devices leave of a pass."""

from __future__ import annotations

from models.find_spec import find_spec
from planner.action import Action, Kind
from planner.cluster import Cluster
from planner.cost import costs
from planner.estimate import estimate
from planner.flow import Flow
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.cases.case import Case, Row, by_hand, facts, system

NAME = "lingbot-2-parallelism"


def case() -> Case:
    found = facts(NAME)
    rows = [summed(found["passes"], *row) for row in found["rows"]]
    alone = {row[2]: row[3] for row in found["rows"] if row[0] == row[1] == 1}
    for tensor, ulysses, compiled, dit, *_ in found["rows"]:
        if tensor * ulysses > 1:
            method = "tensor" if tensor > 1 else "ulysses"
            told = f"{method} on 2{', compiled' if compiled else ''}, share of a pass"
            predicted = share(method, alone[compiled] / found["passes"])
            rows.append(Row(told, predicted, dit / alone[compiled], 0.02 if method == "ulysses" else None))
    return Case(
        name=NAME,
        source=found["source"],
        given="the parts: five equal passes of dit / 5, text and other as an overhead of each block",
        fitted="nothing for the sums; of the shares, the part of a pass that no group shortens (8 %), on the compiled "
        "Ulysses row",
        rows=tuple(rows),
        note="The shares of a pass come from the cost model alone, without a measured share: collectives of bytes over "
        "bandwidth and a fixed part. It knows nothing of compilation, and eager kernels lose more on a group; tensor "
        "parallelism is foretold too well, as the model lets every matrix split evenly at full efficiency and the sums "
        "run at the link's full rate. Whoever has measured a share gives it (`parallel`), and then the sums hold.",
    )


def summed(passes: int, tensor: int, ulysses: int, compiled: bool, *ms: float) -> Row:
    dit, text, other, client = ms
    latencies = {"pass_ms": dit / passes, "block_overhead_ms": text + other}
    made = estimate(system(model="wan-14b", latencies=latencies))
    how = f"tensor {tensor}, Ulysses {ulysses}{', compiled' if compiled else ''}, ms a block"
    return Row(how, made.period_ms, client, 0.002)


def share(method: str, pass_ms: float) -> float:
    """What the cost model leaves of a pass on two H200."""
    spec = find_spec("wan-14b", name="lingbot-world-2", window=21)
    cluster = Cluster.of("h200", 2)
    link = {"hand_off_ms": cluster.link.latency_us / 1000, "link_gbps": cluster.link.bandwidth_gbps}
    profile = by_hand(spec, "h200", pass_ms=pass_ms, **link)
    problem = Problem(model=spec, cluster=cluster, workload=Workload(blocks=8, decode=False), profile=profile)
    flow = Flow(problem, Pattern.sequential(spec), Placement.parse(f"free*{method}:2"))
    return costs(problem, flow).compute_us(Action(Kind.DENOISE, 7, 1), 0) / 1000 / pass_ms
