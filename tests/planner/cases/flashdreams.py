"""FlashDreams: passes by context, whole blocks by their parts, and other devices by the data sheet."""

from __future__ import annotations

from models.catalog import load_spec
from planner.action import Kind, TimedAction
from planner.cluster import Cluster
from planner.estimate import estimate
from planner.problem import Problem
from planner.profile import Profile
from planner.workload import Workload
from tests.planner.cases.case import Case, Row, by_hand, facts, planned, system

SPEC = load_spec("self-forcing-1.3b")
NAME = "flashdreams-self-forcing-a100"
TOLERANCE = 0.10
# Of seven blocks those from the third on count; the median one reads so many.
MEDIAN_CONTEXT = 4


def case() -> Case:
    found = facts(NAME)
    clean = found["clean_pass"]
    two = {0: clean[0], 6: clean[6]}
    rows = one_device("a100", by_hand(SPEC, "a100", pass_ms=two, decode_ms=found["decode"]))
    measured = found["four_denoise_passes"][6] + clean[6] + found["decode"]
    steady = Row("steady block, decode inside, ms", sum(times(rows, 7)) + found["decode"], measured, TOLERANCE)
    return Case(
        name=NAME,
        source=found["source"],
        given="the clean pass without context and with six blocks of it, the decode",
        fitted="those two points; a denoise pass is taken to be as long as the clean one",
        rows=(*passes(rows, "", TOLERANCE), steady),
    )


def roofline() -> Case:
    found = facts("flashdreams-self-forcing-h100")
    rows = list(passes(one_device("a100", None), "A100, ", TOLERANCE))
    for device, block_ms in found["block"].items():
        predicted = sum(times(one_device(device, None), MEDIAN_CONTEXT))
        tolerance = TOLERANCE if device == "h100" else None
        rows.append(Row(f"{device.upper()}, median block of five passes, ms", predicted, block_ms, tolerance))
    return Case(
        name="flashdreams-by-data-sheet",
        source=f"{facts(NAME)['source']}; {found['source']}",
        given="nothing but the model's shape and the devices' peak rates",
        fitted="the one share of the peak that the cost model states (50 %), on the A100 rows",
        rows=tuple(rows),
        note="The tiny decoder's few milliseconds are left out. The H100 follows from the A100 by the ratio of their "
        "peaks. The published GB200 is told beside the catalog's B200: there a pass of 1.3B is short enough for "
        "launches and memory traffic to count, and a share of the peak that is fitted on an A100 is too good. Measure "
        "a profile, or give latencies, on such a device.",
    )


def lingbot() -> Case:
    name = "flashdreams-lingbot-gb300"
    found = facts(name)
    rows = []
    for encode, diffuse, decode, finalize, without, total in found["rows"]:
        parts = {"pass_ms": diffuse / 4, "clean_ms": finalize, "decode_ms": decode, "encode_ms": encode}
        made = estimate(system(model="wan-14b", latencies=parts))
        rows.append(Row(f"a block of {total:.0f} ms", made.period_ms, total, 0.002))
        rows.append(Row("from first pass to frames, without the clean pass, ms", made.first_frame_ms, without, 0.002))
    return Case(
        name=name,
        source=found["source"],
        given="the parts: encode, four passes, decode, clean pass",
        fitted="nothing",
        rows=tuple(rows),
        note="The four GPUs of one Ulysses group count as one device, as its passes were timed on all of them.",
    )


def one_device(device: str, profile: Profile | None) -> list[TimedAction]:
    problem = Problem(model=SPEC, cluster=Cluster.of(device), workload=Workload(blocks=9), profile=profile)
    return [row for row in planned(problem, "sequential", "free").ranks[0] if row.action.is_compute]


def times(rows: list[TimedAction], block: int) -> list[float]:
    """Milliseconds of each of a block's passes."""
    kinds = (Kind.DENOISE, Kind.COMMIT)
    return [(r.end_us - r.start_us) / 1000 for r in rows if r.action.kind in kinds and r.action.block == block]


def passes(rows: list[TimedAction], before: str, tolerance: float) -> list[Row]:
    found = facts(NAME)
    told = [
        Row(f"{before}clean pass, {block} context blocks, ms", times(rows, block)[-1], ms, tolerance)
        for block, ms in enumerate(found["clean_pass"])
    ]
    four = found["four_denoise_passes"].items()
    return told + [
        Row(f"{before}four passes, {block} context blocks, ms", sum(times(rows, block)[:4]), ms, tolerance)
        for block, ms in four
    ]
