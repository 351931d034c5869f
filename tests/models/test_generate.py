"""The reference loop computes what the patterns' definition says, whatever its slots and its order.

Claims: it equals, bit for bit, a naive recursion that keeps every version for ever; noise levels read are the ones
worked out by hand; each pass runs after what it reads; its slots are exactly as many as are needed; a stream's
beginning does not depend on how long the stream is.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.catalog import load_spec
from models.errors import ModelError, SpecError
from models.forward import PassInput, Past, run_pass
from models.generate import _last_readers, _levels, _most_alive, _ticks, as_stream, generate
from models.kv_cache import KVSlots, Version
from models.sampler import after_step, block_noise
from models.spec import ModelSpec
from models.wan import CausalWan
from tests.models.variants import same, specs_and_offsets, text, variant, wan_for
from tests.tiny import TINY_SPEC, embed

SELF_FORCING = load_spec("self-forcing-1.3b")
LONGLIVE = load_spec("longlive-1.3b")
BLOCKS = 5
offsets = pytest.mark.parametrize("offset", range(1, TINY_SPEC.passes + 1))
few = settings(max_examples=20)


# -- against a loop that could not be simpler ----------------------------------------------------


def _naive(model: CausalWan, *, blocks: int, seed: int, offset: int) -> list[Tensor]:
    """Each pass asks for what it reads; every version is kept."""
    spec = model.spec
    size, last = spec.frames_per_block, spec.passes - 1

    def level_read(stage: int, back: int) -> int:
        """What the block before is at, `offset` - 1 passes ahead; and of older blocks, what that pass reads."""
        ahead = min(stage + offset - 1, last)
        return ahead if back == 1 else level_read(ahead, back - 1)

    @cache
    def latents(block: int, stage: int) -> Tensor:
        if stage == 0:
            return block_noise(spec, seed, block, 0)
        flow, _ = run(block, stage - 1)
        return after_step(spec, latents(block, stage - 1), flow, seed, block, stage - 1)

    @cache
    def run(block: int, stage: int) -> tuple[Tensor, Tensor]:
        sink = [j for j in range(block) if j * size < spec.sink]
        room = (spec.window - spec.sink) // size - 1
        sliding = [j for j in range(block) if j * size >= spec.sink][-room:] if room else []
        begun = spec.relative_sink and block * size >= spec.sink
        moved = (sliding[0] if sliding else block) * size - spec.sink if begun else 0
        own = torch.zeros(spec.layers, 2, spec.tokens_per_block, spec.heads, spec.head_dim)
        past = {j: Past(run(j, level_read(stage, block - j))[1], moved if j in sink else 0) for j in [*sink, *sliding]}
        past[block] = Past(own)
        # Places in the window: the sink's own first, then the others by turns.
        turns = sorted(
            past, key=lambda j: (j * size >= spec.sink, j if j in sink else (j - spec.sink // size) % (room + 1))
        )
        clean = stage == spec.steps
        timestep = spec.context_timestep if clean else 1000 * spec.sigmas[stage]
        given = PassInput(latents(block, stage), timestep, block * size, own, [past[j] for j in turns], text())
        return run_pass(model, given), own

    return [latents(block, spec.steps) for block in range(blocks)]


@offsets
def test_equals_the_naive_loop(offset: int) -> None:
    model = wan_for(TINY_SPEC)
    found = generate(model, text(), blocks=BLOCKS, seed=3, offset=offset)
    assert same(found, _naive(model, blocks=BLOCKS, seed=3, offset=offset))


@few
@given(specs_and_offsets(), st.integers(1, 5), st.integers(0, 2**31))
def test_equals_the_naive_loop_for_any_model(chosen: tuple[ModelSpec, int], blocks: int, seed: int) -> None:
    spec, offset = chosen
    model = wan_for(spec)
    found = generate(model, text(), blocks=blocks, seed=seed, offset=offset)
    assert same(found, _naive(model, blocks=blocks, seed=seed, offset=offset))


def test_every_offset_is_another_video_that_starts_alike() -> None:
    """Else the equalities here would hold of a model that reads no context."""
    model = wan_for(TINY_SPEC)
    videos = [generate(model, text(), blocks=3, seed=0, offset=offset) for offset in range(1, TINY_SPEC.passes + 1)]
    for i, video in enumerate(videos):
        assert torch.equal(video[0], videos[0][0])
        assert all((video[1] - other[1]).abs().max() > 1e-5 for other in videos[:i])
        assert (video[1] - video[0]).abs().max() > 0.1


def test_sequential_is_the_default() -> None:
    model = wan_for(TINY_SPEC)
    sequential = generate(model, text(), blocks=BLOCKS, seed=0, offset=TINY_SPEC.passes)
    assert same(generate(model, text(), blocks=BLOCKS, seed=0), sequential)


# -- what the result depends on ------------------------------------------------------------------


@offsets
def test_a_block_does_not_depend_on_those_that_follow(offset: int) -> None:
    model = wan_for(TINY_SPEC)
    whole = generate(model, text(), blocks=6, seed=1, offset=offset)
    for blocks in range(1, 6):
        assert same(generate(model, text(), blocks=blocks, seed=1, offset=offset), whole[:blocks])


@few
@given(specs_and_offsets(), st.integers(1, 4), st.integers(1, 3))
def test_a_block_does_not_depend_on_those_that_follow_in_any_model(
    chosen: tuple[ModelSpec, int], blocks: int, more: int
) -> None:
    spec, offset = chosen
    model = wan_for(spec)
    short = generate(model, text(), blocks=blocks, seed=1, offset=offset)
    assert same(short, generate(model, text(), blocks=blocks + more, seed=1, offset=offset)[:blocks])


def test_the_seed_decides_every_byte_and_nothing_else_does() -> None:
    model = wan_for(TINY_SPEC)
    torch.manual_seed(0)
    first = generate(model, text(), blocks=3, seed=5, offset=2)
    torch.manual_seed(1)
    assert same(generate(model, text(), blocks=3, seed=5, offset=2), first)
    other = generate(model, text(), blocks=3, seed=6, offset=2)
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_prompt_matters() -> None:
    model = wan_for(TINY_SPEC)
    one, two = (generate(model, text(prompt), blocks=1, seed=0)[0] for prompt in ("one", "two"))
    assert (one - two).abs().max() > 1e-3


def test_half_precision_is_near_full_and_hands_out_full() -> None:
    """K/V slots are then of half size, and noise and steps still in float32."""
    model = CausalWan(deepcopy(wan_for(TINY_SPEC).transformer).bfloat16(), TINY_SPEC)
    found = generate(model, model.encode_text(embed("a prompt")), blocks=3, seed=0)
    wanted = generate(wan_for(TINY_SPEC), text(), blocks=3, seed=0)
    assert {block.dtype for block in found} == {torch.float32}
    torch.testing.assert_close(found, wanted, atol=0.05, rtol=0)


def test_latents_come_as_promised() -> None:
    video = generate(wan_for(TINY_SPEC), text(), blocks=2, seed=0)
    assert [block.shape for block in video] == [(4, 2, 4, 4)] * 2
    assert {block.dtype for block in video} == {torch.float32}
    stream = as_stream(video)
    assert stream.shape == (1, 4, 4, 4, 4)
    assert torch.equal(stream[0, :, 2:], video[1])


# -- when blocks are handed out ------------------------------------------------------------------


@offsets
def test_blocks_are_handed_out_in_order_as_they_are_returned(offset: int) -> None:
    seen: list[tuple[int, Tensor]] = []
    video = generate(
        wan_for(TINY_SPEC),
        text(),
        blocks=4,
        seed=0,
        offset=offset,
        on_block=lambda block, latents: seen.append((block, latents.clone())),
    )
    assert [block for block, _ in seen] == [0, 1, 2, 3]
    assert same([latents for _, latents in seen], video)


@pytest.mark.parametrize(
    ("offset", "forwards"),
    [
        (4, [3, 7, 11]),  # 3 steps and a clean pass, then the next block
        (1, [4, 8, 11]),  # in ticks: 0.0 | 0.1 1.0 | 0.2 1.1 2.0 | 0.c 1.2 2.1 | 1.c 2.2
    ],
)
def test_a_block_is_handed_out_as_soon_as_its_last_step_is_done(offset: int, forwards: list[int]) -> None:
    model, done, seen = wan_for(TINY_SPEC), [0], []
    times = model.times

    def count(timestep: float) -> tuple[Tensor, Tensor]:
        done[0] += 1
        return times(timestep)

    model.times = count  # type: ignore[method-assign]  # asked for once in each pass
    generate(model, text(), blocks=3, seed=0, offset=offset, on_block=lambda *_: seen.append(done[0]))
    assert seen == forwards


# -- which versions are read, by hand ------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "stage", "levels"),
    [
        # 4 steps and a clean pass (level 4); block 3 reads blocks 0, 1 and 2.
        (5, 0, [4, 4, 4]),
        (5, 3, [4, 4, 4]),
        (4, 0, [4, 4, 3]),
        (4, 1, [4, 4, 4]),
        (3, 0, [4, 4, 2]),
        (3, 1, [4, 4, 3]),
        (3, 2, [4, 4, 4]),
        (2, 0, [3, 2, 1]),
        (2, 1, [4, 3, 2]),
        (2, 2, [4, 4, 3]),
        (2, 3, [4, 4, 4]),
        (1, 0, [0, 0, 0]),
        (1, 3, [3, 3, 3]),
        *[(offset, 4, [4, 4, 4]) for offset in (1, 2, 3, 4, 5)],
    ],
)
def test_levels_read_by_hand(offset: int, stage: int, levels: list[int]) -> None:
    assert _levels(SELF_FORCING, 3, stage, offset) == list(enumerate(levels))


def test_levels_of_a_sink_and_a_window_by_hand() -> None:
    """Block 5 of LongLive reads the sink, block 0, five blocks back, and blocks 3 and 4."""
    assert _levels(LONGLIVE, 5, 0, 2) == [(0, 4), (3, 2), (4, 1)]
    assert _levels(LONGLIVE, 5, 0, 1) == [(0, 0), (3, 0), (4, 0)]


def test_levels_without_a_clean_pass_end_at_the_last_step() -> None:
    spec = variant(clean_pass=False)
    assert _levels(spec, 1, 0, 3) == [(0, 2)]
    assert _levels(spec, 1, 2, 2) == [(0, 2)]


def test_order_by_hand() -> None:
    """Two steps and a clean pass; the last block's clean pass, which nothing reads, is left out."""
    spec = variant(timesteps=(1000, 500))
    assert list(_ticks(spec, 2, 3)) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert list(_ticks(spec, 2, 2)) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert list(_ticks(spec, 2, 1)) == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1)]
    assert list(_ticks(spec, 3, 1)) == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0), (1, 2), (2, 1)]


@given(specs_and_offsets(), st.integers(1, 8))
def test_each_pass_runs_once_and_after_what_it_reads(chosen: tuple[ModelSpec, int], blocks: int) -> None:
    spec, offset = chosen
    done: set[Version] = set()
    for block, stage in _ticks(spec, blocks, offset):
        assert (block, stage) not in done
        assert stage == 0 or (block, stage - 1) in done
        assert done.issuperset(_levels(spec, block, stage, offset))
        done.add((block, stage))
    passes = {(block, stage) for block in range(blocks) for stage in range(spec.passes)}
    assert done == passes - {(blocks - 1, spec.steps)}
    assert len(done) == spec.forward_count(blocks)


# -- slots ---------------------------------------------------------------------------------------


def _capacity(spec: ModelSpec, blocks: int, offset: int) -> int:
    order = list(_ticks(spec, blocks, offset))
    return _most_alive(order, _last_readers(spec, order, offset))


@pytest.mark.parametrize(
    ("spec", "blocks", "offset", "slots"),
    [
        (SELF_FORCING, 1, 5, 1),
        (SELF_FORCING, 4, 5, 4),  # three clean blocks and the one at work
        (SELF_FORCING, 20, 5, 7),  # the window
        (LONGLIVE, 20, 5, 4),
        (variant(window=4, sink=0, timesteps=(1000, 500)), 9, 3, 2),
        # Same level: block i's level k is read once, by block i + 1 in the next tick. Of three blocks in flight each
        # leaves one version while the next tick runs, and the newest reader needs a slot of its own: 3 + 1.
        (variant(window=4, sink=0, timesteps=(1000, 500)), 9, 1, 4),
    ],
)
def test_slots_by_hand(spec: ModelSpec, blocks: int, offset: int, slots: int) -> None:
    assert _capacity(spec, blocks, offset) == slots


@given(specs_and_offsets(), st.integers(1, 8))
def test_slots_are_as_many_as_versions_are_still_to_be_read(chosen: tuple[ModelSpec, int], blocks: int) -> None:
    spec, offset = chosen
    order = list(_ticks(spec, blocks, offset))
    reads = [set(_levels(spec, *at, offset)) for at in order]
    needed = [len({at} | set(order[:i]) & set().union(*reads[i:])) for i, at in enumerate(order)]
    assert _capacity(spec, blocks, offset) == max(needed)


@few
@given(specs_and_offsets(), st.integers(1, 6))
def test_one_slot_fewer_is_too_few(chosen: tuple[ModelSpec, int], blocks: int) -> None:
    """Taken and given back as `generate` does, on real slots."""
    spec, offset = chosen
    order = list(_ticks(spec, blocks, offset))
    last_reader = _last_readers(spec, order, offset)

    def run(capacity: int) -> frozenset[Version]:
        slots = KVSlots(spec, capacity, torch.float32, "cpu")
        for index, (block, stage) in enumerate(order):
            for version in _levels(spec, block, stage, offset):
                slots.get(*version)
            slots.take(block, stage)
            for version in [v for v in slots.alive if last_reader.get(v, -1) <= index]:
                slots.give_back(*version)
        return slots.alive

    capacity = _capacity(spec, blocks, offset)
    assert run(capacity) == frozenset()
    with pytest.raises(ModelError, match="none for"):
        run(capacity - 1)


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, -1, 5])
def test_offsets_outside_the_passes_are_refused(offset: int) -> None:
    with pytest.raises(ModelError, match=rf"offset must be 1\.\.4 for tiny, not {offset}"):
        generate(wan_for(TINY_SPEC), text(), blocks=1, seed=0, offset=offset)


@pytest.mark.parametrize("blocks", [0, -3])
def test_a_clip_has_a_block(blocks: int) -> None:
    with pytest.raises(ModelError, match=f"blocks must be at least 1, not {blocks}"):
        generate(wan_for(TINY_SPEC), text(), blocks=blocks, seed=0)


@pytest.mark.parametrize("changes", [{"first_block_steps": 5}, {"first_block_frames": 1}])
def test_a_first_block_of_its_own_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(SpecError, match="tiny: a first block of its own can be planned and simulated, not executed"):
        generate(wan_for(variant(**changes)), text(), blocks=1, seed=0)
    alike = wan_for(variant(first_block_steps=3, first_block_frames=2))
    assert same(generate(alike, text(), blocks=2, seed=0), generate(wan_for(TINY_SPEC), text(), blocks=2, seed=0))
