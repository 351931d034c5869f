"""Placements: text forms, the units each makes of a cluster, and which make sense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.cluster import DEVICES, LINKS, Cluster
from planner.errors import InputError
from planner.patterns import Pattern
from planner.placement import (
    Method,
    Placement,
    all_placements,
    group_fault,
    layout,
    most_busy,
    require_fit,
)
from planner.problem import Problem
from tests.planner.clips import cascade, model
from tests.strategies import patterns, placements, problems

SPEC = model(4, clean=True)
SEQUENTIAL = Pattern.sequential(SPEC)
RECOMPUTE, LAYERS = Pattern(name="sequential-recompute", offset=5), Pattern(name="layers", offset=1)

# -- text ----------------------------------------------------------------------------------------

FORMS = {
    "free": Placement(),
    "block": Placement(passes="block"),
    "batched": Placement(passes="batched"),
    "ring": Placement(passes="ring"),
    "step+decoder": Placement(passes="step", decoder="apart"),
    "free+decoder:3": Placement(decoder="apart", parts=3),
    "free*ulysses:2": Placement(degree=2),
    "free*tensor:4": Placement(method="tensor", degree=4),
    "free@3": Placement(ranks=3),
    "block+decoder:3*ulysses:2@7": Placement(passes="block", decoder="apart", parts=3, degree=2, ranks=7),
}


@pytest.mark.parametrize(("text", "placement"), FORMS.items())
def test_forms_by_hand(text: str, placement: Placement) -> None:
    assert Placement.parse(text) == placement
    assert str(placement) == text


@given(st.data(), problems())
def test_text_round_trips(data: st.DataObject, problem: Problem) -> None:
    placement = data.draw(placements(data.draw(patterns(problem.model)), problem))
    assert Placement.parse(str(placement)) == placement


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+decoder",
        "free+",
        "free+apart",
        "layers",
        "free+decoder+decoder",
        "Free",
        "free ",
        "free + decoder",
        "free:2",
        "free+decoder:0",
        "free+decoder:02",
        "free*ulysses",
        "free*ulysses:0",
        "free*pipeline:2",
        "free@0",
        "free@3*ulysses:2",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"is not free, block, step, batched or ring, then optionally '\+decoder'"):
        Placement.parse(text)


def test_a_decoder_in_parts_is_apart() -> None:
    with pytest.raises(ValueError, match=r"parts: a decoder in parts is apart from the passes: add '\+decoder'"):
        Placement(parts=2)


# -- units ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("placement", "ranks", "denoising", "decoding"),
    [
        ("free", 3, [(0,), (1,), (2,)], []),
        ("free+decoder", 3, [(0,), (1,)], [(2,)]),
        ("block+decoder:2", 5, [(0,), (1,), (2,)], [(3,), (4,)]),
        ("free*ulysses:2", 5, [(0, 1), (2, 3)], []),  # rank 4 is in no unit
        ("step+decoder:2*tensor:2", 7, [(0, 1), (2, 3)], [(5,), (6,)]),
        ("free@2", 3, [(0,), (1,)], []),
        ("ring", 2, [(0,), (1,)], []),
    ],
)
def test_units_by_hand(
    placement: str, ranks: int, denoising: list[tuple[int, ...]], decoding: list[tuple[int, ...]]
) -> None:
    found = layout(Placement.parse(placement), Cluster.of("h100", ranks))
    assert list(found.units) == denoising + decoding
    assert found.denoising == len(denoising)
    assert [found.units[unit] for unit in found.decoding] == decoding


def test_the_fastest_ranks_are_used() -> None:
    """By rank; of equals the first."""
    kinds = ("a100", "h100", "l40s", "h100", "a100")
    mixed = Cluster(devices=tuple(DEVICES[kind] for kind in kinds), link=LINKS["pcie4"])
    assert layout(Placement(ranks=1), mixed).units == ((1,),)
    assert layout(Placement(ranks=3), mixed).units == ((1,), (2,), (3,))
    assert layout(Placement(ranks=4), mixed).units == ((0,), (1,), (2,), (3,))
    assert layout(Placement(ranks=4, decoder="apart"), mixed).units == ((0,), (1,), (2,), (3,))
    assert layout(Placement(ranks=4, degree=2), mixed).units == ((0, 1), (2, 3))


def test_nodes_do_not_change_who_works_together() -> None:
    """Ranks are grouped in order; the cost model knows when a group spans two nodes."""
    nodes = Cluster.of("h100", 6, per_node=3)
    assert layout(Placement(degree=2), nodes) == layout(Placement(degree=2), Cluster.of("h100", 6))


@pytest.mark.parametrize(
    ("placement", "ranks", "message"),
    [
        ("free+decoder", 1, r"free\+decoder needs at least 2 ranks, not 1"),
        ("free+decoder:3", 3, r"free\+decoder:3 needs at least 4 ranks, not 3"),
        ("free*ulysses:4", 3, r"free\*ulysses:4 needs at least 4 ranks, not 3"),
        ("free+decoder*ulysses:2@2", 4, r"free\+decoder\*ulysses:2@2 needs at least 3 ranks, not 2"),
        ("free@5", 4, r"asks for 5 rank\(s\), the cluster has 4"),
    ],
)
def test_too_few_ranks_are_refused(placement: str, ranks: int, message: str) -> None:
    with pytest.raises(InputError, match=rf"^placement: {message}$"):
        layout(Placement.parse(placement), Cluster.of("h100", ranks))


# -- what fits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "degree", "fault"),
    [
        # The toy has 4 heads, 16 tokens in a block of one frame and a feed-forward width of 512.
        ("ulysses", 2, None),
        ("ulysses", 4, None),
        ("tensor", 4, None),
        ("ulysses", 3, "by-hand has 4 attention heads, not divisible by 3"),
        ("tensor", 8, "by-hand has 4 attention heads, not divisible by 8"),
    ],
)
def test_groups_divide_the_model(method: Method, degree: int, fault: str | None) -> None:
    assert group_fault(SPEC, method, degree) == fault


def test_what_else_has_to_divide() -> None:
    odd = model(1, heads=3, head_dim=64, latent_height=2, latent_width=2, ffn_dim=510)
    assert group_fault(odd, "ulysses", 3) == "by-hand has 4 tokens in block 0, not divisible by 3"
    assert group_fault(odd, "tensor", 3) is None
    longer = odd.model_copy(update={"first_block_frames": 3})
    assert group_fault(longer, "ulysses", 3) == "by-hand has 4 tokens in block 1, not divisible by 3"


@pytest.mark.parametrize(
    ("placement", "pattern", "message"),
    [
        ("ring", SEQUENTIAL, "'ring' belongs to pattern 'layers', not ring to sequential"),
        ("free", LAYERS, "'ring' belongs to pattern 'layers', not free to layers"),
        ("free", cascade(1, "live-joint"), "cascade:1:live-joint runs in ticks: ask for block, step or batched"),
        ("batched", SEQUENTIAL, "sequential has no ticks to batch: ask for free, block or step"),
        ("batched", RECOMPUTE, "sequential-recompute has no ticks to batch"),
        ("batched", cascade(2, "live-causal"), "cascade:2:live-causal has no ticks to batch"),
        ("free*ulysses:3", SEQUENTIAL, r"free\*ulysses:3: by-hand has 4 attention heads"),
        ("ring*ulysses:2", LAYERS, r"ring\*ulysses:2: a ring runs on single devices"),
    ],
)
def test_what_does_not_fit_is_refused(placement: str, pattern: Pattern, message: str) -> None:
    with pytest.raises(InputError, match=rf"^placement: {message}"):
        require_fit(Placement.parse(placement), pattern, SPEC)


def test_a_ring_takes_all_blocks_one_step_on() -> None:
    with pytest.raises(InputError, match="a ring needs all blocks to take the same steps; by-hand's first"):
        require_fit(Placement(passes="ring"), LAYERS, model(4, first_block_steps=6))
    require_fit(Placement(passes="ring"), LAYERS, model(4, first_block_steps=4))


@given(st.data(), problems())
def test_what_is_drawn_for_tests_fits(data: st.DataObject, problem: Problem) -> None:
    spec = problem.model
    pattern = data.draw(patterns(spec))
    placement = data.draw(placements(pattern, problem))
    if spec.block_steps(0) == spec.steps or pattern.name != "layers":
        require_fit(placement, pattern, spec)
    layout(placement, problem.cluster)


# -- what makes sense ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "units"), [(SEQUENTIAL, 1), (RECOMPUTE, 1), (cascade(4), 2), (cascade(2), 3), (cascade(1), 5)]
)
def test_units_that_can_be_busy_at_once(pattern: Pattern, units: int) -> None:
    assert most_busy(pattern, SPEC, "free") == units


def all_of(pattern: Pattern, ranks: int, *, decode: bool = True, parts: int = 1, used: int | None = None) -> set[str]:
    found = [
        str(placement)
        for placement in all_placements(
            pattern, SPEC, Cluster.of("h100", ranks), decode=decode, parts=parts, ranks=used
        )
    ]
    assert len(found) == len(set(found))
    return set(found)


def test_all_placements_by_hand() -> None:
    """Of single devices also fewer than there are: where links are slow, they may do better."""
    assert all_of(SEQUENTIAL, 1) == all_of(cascade(1), 1) - {"batched"} == {"free"}
    assert all_of(SEQUENTIAL, 2) == {"free@1", "free", "free+decoder", "free*ulysses:2", "free*tensor:2"}
    assert all_of(cascade(1), 2, decode=False) == {
        "free@1",
        "batched@1",
        "free",
        "block",
        "step",
        "batched",
        *(f"{passes}*{method}:2" for passes in ("free", "batched") for method in ("ulysses", "tensor")),
    }
    assert all_of(cascade(1, "live-joint"), 2, decode=False) == {
        "batched@1",
        "block",
        "step",
        "batched",
        "batched*ulysses:2",
        "batched*tensor:2",
    }
    rings = {"ring@1", "ring@2", "ring"}
    assert all_of(LAYERS, 3, parts=2) == rings | {"ring+decoder@2", "ring+decoder", "ring+decoder:2"}


def test_ranks_that_could_never_have_work_stay_idle() -> None:
    # One pass at a time, and a decode beside it.
    assert {text for text in all_of(SEQUENTIAL, 5) if "*" not in text} == {"free@1", "free@2", "free+decoder@2"}
    assert {text for text in all_of(cascade(2), 9, decode=False) if text.startswith("step")} == {
        "step@2",
        "step@3",
        *(f"step*{method}:{degree}@{ranks}" for method in ("ulysses", "tensor") for degree, ranks in ((2, 6), (4, 8))),
    }
    assert all_of(SEQUENTIAL, 5, used=1) == {"free@1"}


@given(st.data(), problems(), st.integers(1, 3))
def test_all_placements_fit(data: st.DataObject, problem: Problem, parts: int) -> None:
    pattern, spec, cluster = data.draw(patterns(problem.model)), problem.model, problem.cluster
    used = data.draw(st.none() | st.integers(1, cluster.size))
    decode = problem.workload.decode
    found = list(all_placements(pattern, spec, cluster, decode=decode, parts=parts, ranks=used))
    assert len(set(found)) == len(found)
    if pattern.name != "layers" or spec.block_steps(0) == spec.steps:
        assert found
    for placement in found:
        if placement.passes != "ring" or spec.block_steps(0) == spec.steps:
            require_fit(placement, pattern, spec)
        units = layout(placement, cluster)
        assert sum(map(len, units.units)) <= (used or cluster.size)
        assert len(units.decoding) == (placement.parts if placement.decoder == "apart" else 0) <= parts
        assert decode or not units.decoding
