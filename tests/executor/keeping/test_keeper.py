"""What is written as ranks make it, by whom, and what is deleted once it is of no use."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from executor.errors import OutputError
from executor.keeping.cuts import Cut, Cuts
from executor.keeping.keeper import Keeper, Tidier
from executor.keeping.needed import TENSOR, covering, kept_after, lacking
from executor.keeping.saved import Finished, Kept, Piece, Range, Saved
from executor.keeping.store import Index, Store
from executor.keeping.writer import Writer, copied
from executor.rank.part import Part, part_of
from planner.action import Action, Kind, Payload
from planner.flow import Flow
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from tests.planner.clips import cascade, clip, costed, model
from tests.strategies import listed

PART = Part(range(2), range(2), (0,))


class Stub:
    """A rank that holds tensors of one number, and notes nothing."""

    def __init__(self) -> None:
        self.frames: Mapping[int, Tensor] = {block: torch.zeros(1, dtype=torch.uint8) for block in range(100)}

    def tensor(self, payload: Payload) -> Tensor:
        assert payload.carries != "text"
        return torch.zeros(1)

    def decoder_state(self) -> Mapping[str, Tensor]:
        return {"0": torch.zeros(1)}

    encoder_state = decoder_state


class Noted(Store):
    """A store in memory that counts what is written and deleted."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"))
        self.there: dict[Saved, int] = {}
        self.writes: list[Saved] = []

    def write(self, saved: Saved, tensors: Mapping[str, Tensor]) -> None:
        assert all(tensor.device.type == "cpu" for tensor in tensors.values())
        self.writes.append(saved)
        self.there[saved] = 1

    def read(self, saved: Saved, key: str, index: Index = ()) -> Tensor:
        assert saved in self.there
        assert (key, index) == (TENSOR, ())
        return torch.zeros(1, dtype=torch.uint8)

    def has(self, saved: Saved) -> bool:
        return saved in self.there

    def state(self) -> Iterator[Saved]:
        return iter([saved for saved in self.there if not isinstance(saved, Finished)])

    def delete(self, saved: Saved) -> None:
        assert not isinstance(saved, Finished)
        del self.there[saved]


def flow_of(problem: Problem, plan: Plan) -> Flow:
    return Flow(problem, plan.pattern, Placement.parse(plan.placement), plan.switch_ticks)


@settings(max_examples=50)
@given(case=listed(min_blocks=2), every=st.integers(1, 3), order=st.randoms(use_true_random=False))
def test_ranks_together_keep_what_cuts_need_and_no_more(
    case: tuple[Problem, Plan], every: int, order: random.Random
) -> None:
    """The actions of all ranks, in any order that keeps each rank's own."""
    problem, plan = case
    flow, store, cuts = flow_of(problem, plan), Noted(), Cuts(flow_of(problem, plan), every)
    keepers = [Keeper(store, flow, cuts, rank, part_of(rank, problem, flow)) for rank in range(len(plan.ranks))]
    programs = [[row.action for row in rows if row.action.is_compute] for rows in plan.ranks]
    while any(programs):
        rank = order.choice([rank for rank, left in enumerate(programs) if left])
        keepers[rank].made(programs[rank].pop(0), Stub())
    for keeper in keepers:
        with keeper:
            pass
    assert {saved for saved in store.there if isinstance(saved, Finished)} == {
        Finished(block, flow.decodes) for block in range(flow.blocks)
    }
    # Each file is written once, and for every cut all it needs has been.
    assert len(store.writes) == len(set(store.writes))
    for block in cuts.blocks:
        assert list(lacking(store.writes, flow, cuts, cuts.cut(block))) == []
    needed = {payload for block in cuts.blocks for payload in cuts.state(cuts.cut(block))}
    assert {saved.payload for saved in store.writes if isinstance(saved, Piece)} == needed
    kept = {saved.block for saved in store.writes if isinstance(saved, Kept)}
    counts = {cuts.finished(cuts.cut(block)) for block in cuts.blocks}
    assert kept == ({count - 1 for count in counts if count} if flow.decodes else set())


def test_files_by_hand() -> None:
    """One rank, two steps, sequential, cuts before blocks 2 and 4: what stands on disk after each block."""
    problem = clip(model(2, clean=True, window=2), 5, 1)
    flow, store = costed(problem, Pattern.sequential(problem.model)).flow, Noted()
    steps = [(Kind.DENOISE, 0), (Kind.DENOISE, 1), (Kind.DECODE, None), (Kind.COMMIT, None)]
    program = [Action(kind, block, step) for block in range(5) for kind, step in steps][:-1]
    part = part_of(0, problem, flow)
    stub, layers, heads = Stub(), (0, len(part.layers)), (0, len(part.heads))
    seen: dict[Action, set[str]] = {}
    with Keeper(store, flow, Cuts(flow, 2), 0, part) as keeper:
        for action in program:
            keeper.made(action, stub)
            keeper._writer._thread.submit(lambda: None).result()
            seen[action] = {str(saved) for saved in store.state()}
    first, second = (
        {str(Piece(Payload("kv", block, None), layers, heads)), str(Kept("decoder", block))} for block in (1, 3)
    )
    assert [seen[action] for action in program[:6]] == [set()] * 6
    assert seen[Action(Kind.COMMIT, 1)] == seen[Action(Kind.DENOISE, 3, 1)] == first
    assert seen[Action(Kind.DECODE, 3)] > first  # not yet whole
    assert seen[Action(Kind.COMMIT, 3)] == second
    assert not list(store.state())


def test_a_cut_is_not_whole_without_the_blocks_before_it() -> None:
    problem = clip(model(1, window=2), 5, 1, decode=False)
    flow, store = costed(problem, Pattern.sequential(problem.model)).flow, Noted()
    part = part_of(0, problem, flow)
    first, second = (Piece(Payload("kv", block, 0), (0, len(part.layers)), (0, len(part.heads))) for block in (1, 3))
    blocks = [Finished(block, False) for block in range(4)]
    store.there = dict.fromkeys([first, second, *blocks[:2], blocks[3]], 1)
    own: set[Saved] = {first, second}
    tidier = Tidier(store, flow, Cuts(flow, 2))
    tidier.tidy(own)
    assert own == set(store.state()) == {first, second}
    store.there[blocks[2]] = 1
    tidier.tidy(own)
    assert own == set(store.state()) == {second}


def test_blocks_go_to_the_sink_in_order_once_they_are_on_disk() -> None:
    problem = clip(model(1), 4, 1)
    flow, store = costed(problem, cascade(1)).flow, Noted()
    store.there = {Finished(0, True): 1, Finished(1, True): 1}
    seen: list[tuple[int, bool]] = []

    def sink(block: int, frames: Tensor) -> None:
        assert frames.dtype == torch.uint8
        seen.append((block, store.has(Finished(block, True))))

    with Keeper(store, flow, Cuts(flow, 2), 0, PART, sink=sink, after=Cut(2)) as keeper:
        for block in (2, 3):
            keeper.made(Action(Kind.DECODE, block), Stub())
    assert seen == [(block, True) for block in range(4)]


def test_a_write_that_fails_is_told_and_ends_the_keeping() -> None:
    problem = clip(model(1), 2, 1)
    flow, store = costed(problem, cascade(1)).flow, Noted()

    def fails(saved: Saved, _: Mapping[str, Tensor]) -> None:
        raise OutputError(f"{saved}: no room")

    store.write = fails  # type: ignore[method-assign,assignment]
    with (
        pytest.raises(OutputError, match=r"blocks/b0\.frames\.safetensors: no room"),
        Keeper(store, flow, Cuts(flow, 1), 0, PART) as keeper,
    ):
        keeper.made(Action(Kind.DECODE, 0), Stub())
    with pytest.raises(ZeroDivisionError), Keeper(store, flow, Cuts(flow, 1), 0, PART) as keeper:
        _fails_after(keeper)  # the first error is the one to tell


def _fails_after(keeper: Keeper) -> None:
    keeper.made(Action(Kind.DECODE, 1), Stub())
    raise ZeroDivisionError


def test_what_was_handed_over_may_be_overwritten() -> None:
    tensor, gate, seen = torch.zeros(4), threading.Event(), list[Tensor]()
    copy = copied({"whole": tensor, "part": tensor[::2]})

    def look() -> None:
        gate.wait(5)
        seen.extend(copy.wait().values())

    with Writer() as writer:
        writer.do(look)
        tensor.fill_(7)
        gate.set()
    assert torch.equal(seen[0], torch.zeros(4))
    assert torch.equal(seen[1], torch.zeros(2))


def test_a_disk_that_stands_still_is_told() -> None:
    gate = threading.Event()

    def stands() -> None:
        gate.wait(5)

    writer = Writer(depth=1, stall_s=0.05)
    writer.do(stands)
    with pytest.raises(OutputError, match="took nothing for"):
        writer.do(stands)
    gate.set()


# -- parts -------------------------------------------------------------------------------------------

KV = Payload("kv", 3, 1)
SPANS = st.tuples(st.integers(0, 3), st.integers(1, 4))


@given(
    st.lists(
        st.tuples(st.tuples(st.integers(0, 3), st.integers(1, 4)), st.tuples(st.integers(0, 3), st.integers(1, 4)))
    ),
    st.tuples(st.integers(0, 3), st.integers(1, 4)),
    st.tuples(st.integers(0, 3), st.integers(1, 4)),
)
def test_parts_cover_what_they_cover(parts: list[tuple[Range, Range]], layers: Range, heads: Range) -> None:
    grid, wanted = torch.zeros(4, 4, dtype=torch.bool), torch.zeros(4, 4, dtype=torch.bool)
    for (l0, l1), (h0, h1) in parts:
        grid[l0:l1, h0:h1] = True
    wanted[layers[0] : layers[1], heads[0] : heads[1]] = True
    pieces = [Piece(KV, *part) for part in parts]
    chosen = covering(KV, [*pieces, Piece(Payload("kv", 4, 1), (0, 4), (0, 4))], layers, heads)
    assert (chosen is not None) == bool((grid | ~wanted).all())
    if chosen is not None:
        covered = torch.zeros(4, 4, dtype=torch.bool)
        for piece in chosen:
            assert piece in pieces
            covered[piece.layers[0] : piece.layers[1], piece.heads[0] : piece.heads[1]] = True
        assert bool((covered | ~wanted).all())


def test_all_parts_of_a_decoder_or_none() -> None:
    halves = [Kept("decoder", 3, 0, 2), Kept("decoder", 3, 2, 3), Kept("decoder", 4)]
    assert kept_after(halves, "decoder", 3) == []
    assert kept_after([*halves, Kept("decoder", 3, 1, 2)], "decoder", 3) == [halves[0], Kept("decoder", 3, 1, 2)]
    assert kept_after([Kept("decoder", 3, 0, 0), Kept("decoder", 3, 0, 10**8)], "decoder", 3) == []
    assert kept_after(halves, "encoder", 4) == []
