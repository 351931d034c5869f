"""What was made before comes back whole, whoever held which part of it; and no state is given up that a cut needs."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from executor.channels.local_channel import LocalWorld
from executor.errors import StateError
from executor.keeping.cuts import START, Cut, Cuts
from executor.keeping.needed import TENSOR, header_of, is_past
from executor.keeping.restart import Loads, newest, restore_codec
from executor.keeping.saved import Finished, Kept, Piece, Saved
from executor.keeping.store import Store
from executor.rank.part import Part
from models.errors import ModelError
from planner.action import Payload
from planner.flow import Flow
from planner.patterns import Pattern
from tests.planner.clips import cascade, clip, costed, model
from tests.tiny import TINY_SPEC

LAYERS, HEADS = 6, 4
KV = Payload("kv", 1, 0)
LATENTS = Payload("latents", 1, 0)


@st.composite
def edges(draw: st.DrawFn, most: int) -> list[tuple[int, int]]:
    cuts = sorted({0, most, *draw(st.sets(st.integers(1, most - 1)))})
    return list(pairwise(cuts))


@settings(max_examples=30)
@given(data=st.data())
def test_any_parts_make_any_other(data: st.DataObject) -> None:
    """Written by ranks with some layers or heads each, read by ranks with others."""
    whole = torch.randn(LAYERS, 2, 3, HEADS, 2)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.prepare()
        for layers in data.draw(edges(LAYERS)):
            for heads in data.draw(edges(HEADS)):
                part = whole[slice(*layers), :, :, slice(*heads)].contiguous()
                store.write(Piece(KV, layers, heads), {TENSOR: part})
        channel = LocalWorld(1).channel(0)
        for l0, l1 in data.draw(edges(LAYERS)):
            for h0, h1 in data.draw(edges(HEADS)):
                room = torch.full((l1 - l0, 2, 3, h1 - h0, 2), float("nan"))
                loads = Loads(channel, store, Part(range(l0, l1), range(h0, h1), (0,)))
                loads.receive(KV, room, 0).wait()
                assert torch.equal(room, whole[l0:l1, :, :, h0:h1])


def test_other_payloads_come_whole_and_other_ranks_are_asked(tmp_path: Path) -> None:
    store, world = Store(tmp_path), LocalWorld(2)
    store.prepare()
    store.write(Piece(LATENTS), {TENSOR: torch.ones(2)})
    loads = Loads(world.channel(0), store, Part(range(1), range(1), (0,)))
    room = torch.zeros(2)
    loads.receive(LATENTS, room, 0).wait()
    assert torch.equal(room, torch.ones(2))
    world.channel(1).send(LATENTS, torch.full((2,), 7.0), 0)
    loads.receive(LATENTS, room, 1).wait()
    assert torch.equal(room, torch.full((2,), 7.0))
    with pytest.raises(StateError, match=r"kv b1\.s0 is gone"):
        loads.receive(KV, room, 0)


def test_what_a_decoder_kept_is_put_together_or_refused_by_the_files_names(tmp_path: Path) -> None:
    store, got = Store(tmp_path), list[dict[str, torch.Tensor]]()
    store.prepare()
    with pytest.raises(StateError, match="the decoder after block 3 is gone"):
        restore_codec(store, "decoder", 3, got.append)
    for part in range(2):
        store.write(Kept("decoder", 3, part, 2), {str(part): torch.full((2,), float(part))})
    restore_codec(store, "decoder", 3, got.append)
    assert {key: value.tolist() for key, value in got[0].items()} == {"0": [0.0, 0.0], "1": [1.0, 1.0]}

    def refuse(_: dict[str, torch.Tensor]) -> None:
        raise ModelError("state lacks entries 2 of 0, 1, 2")

    names = r"state/decoder\.b3\.p0-2\.safetensors, .*state/decoder\.b3\.p1-2\.safetensors"
    with pytest.raises(StateError, match=f"{names}: state lacks entries 2 .*; or remove what is named here"):
        restore_codec(store, "decoder", 3, refuse)


def test_what_a_later_cut_may_need_is_not_past() -> None:
    """Sequential, a window of two blocks: cuts before blocks 2 and 4."""
    problem = clip(model(2, clean=True, window=2), 6)
    flow = costed(problem, Pattern.sequential(problem.model)).flow
    cuts = Cuts(flow, 2)
    pieces: list[Saved] = [Piece(Payload("kv", block, None), (0, 1), (0, 1)) for block in range(6)]
    kept: list[Saved] = [Kept("decoder", block) for block in range(6)]
    assert [is_past(piece, cuts, Cut(4)) for piece in pieces] == [True, True, True, False, False, False]
    assert [is_past(saved, cuts, Cut(4)) for saved in kept] == [True, True, True, False, False, False]
    assert all(is_past(saved, cuts, cuts.end) for saved in (*pieces, *kept))
    assert not is_past(Finished(0, True), cuts, cuts.end)


# -- the newest cut ----------------------------------------------------------------------------------


def whole_state(store: Store, flow: Flow, cuts: Cuts, cut: Cut) -> None:
    """Writes what a cut needs, as one rank that holds all."""
    for payload in cuts.state(cut):
        piece = Piece(payload)
        if payload.carries == "kv":
            piece = Piece(payload, (0, TINY_SPEC.layers), (0, TINY_SPEC.heads))
        store.write(piece, {TENSOR: zeros(piece)})
    store.write(Kept("decoder", cuts.finished(cut) - 1), {"0": torch.zeros(1)})
    for block in range(cuts.finished(cut)):
        store.write(Finished(block, flow.decodes), {TENSOR: zeros(Finished(block, flow.decodes))})


def zeros(saved: Finished | Piece) -> Tensor:
    shape, dtype = header_of(saved, TINY_SPEC, torch.float32)
    return torch.zeros(shape, dtype=torch.uint8 if dtype == "U8" else torch.float32)


def test_the_newest_whole_cut_is_taken(tmp_path: Path) -> None:
    problem = clip(TINY_SPEC, 7)
    flow = costed(problem, cascade(2)).flow
    cuts, store = Cuts(flow, 2), Store(tmp_path)
    store.prepare()
    assert newest(store, flow, cuts, torch.float32) == (START, frozenset(), ())
    for block in (2, 4):
        whole_state(store, flow, cuts, Cut(block))
        found = newest(store, flow, cuts, torch.float32)
        assert found.cut == Cut(block)
        assert {saved.payload for saved in found.state if isinstance(saved, Piece)} == cuts.state(Cut(block))
    # Of another type than the model's now: of no use.
    assert newest(store, flow, cuts, torch.bfloat16).cut == START
    for gone in (Kept("decoder", cuts.finished(Cut(4)) - 1), Finished(cuts.finished(Cut(4)) - 1, True)):
        (tmp_path / str(gone)).rename(tmp_path / "aside")
        found = newest(store, flow, cuts, torch.float32)
        assert found.cut == Cut(2)
        assert found.faults == ()
        (tmp_path / "aside").rename(tmp_path / str(gone))
    for block in range(7):
        store.write(Finished(block, True), {TENSOR: zeros(Finished(block, True))})
    assert newest(store, flow, cuts, torch.float32).cut == cuts.end


def test_a_ring_goes_on_from_the_cut_of_another(tmp_path: Path) -> None:
    problem = clip(TINY_SPEC, 6, 2)
    flow = costed(problem, Pattern(name="layers", offset=1), "ring").flow
    cuts, store = Cuts(flow, 2), Store(tmp_path)
    store.prepare()
    whole_state(store, flow, cuts, Cut(4, 1))
    assert cuts.state(Cut(4, 1)) != cuts.state(Cut(4, 2))
    assert newest(store, flow, cuts, torch.float32).cut == Cut(4, 1)
