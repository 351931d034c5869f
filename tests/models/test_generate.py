"""The reference loop computes what the patterns' definition says, whatever its slots and its order.

Claims: it equals, bit for bit, a naive recursion that keeps every version for ever; a stream's beginning does not
depend on how long the stream is, but where newer blocks are read; a first block may be of its own kind.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.errors import ModelError
from models.forward import PassInput, Past, run_pass
from models.generate import generate
from models.order import Live
from models.sampler import after_step, block_noise
from models.spec import ModelSpec
from models.wan import CausalWan
from tests.models.naive import first_frame, steps_of, window
from tests.models.variants import same, specs_and_offsets, text, variant, wan_for
from tests.tiny import TINY_SPEC, embed

BLOCKS = 5
offsets = pytest.mark.parametrize("offset", range(1, TINY_SPEC.passes + 1))
few = settings(max_examples=20)


# -- against a loop that could not be simpler ----------------------------------------------------


def _naive(model: CausalWan, *, blocks: int, seed: int, offset: int, live: Live | None = None) -> list[Tensor]:
    """Each pass asks for what it reads; every version is kept, and counted by how many passes its block has left."""
    spec = model.spec
    last, ahead = spec.passes - 1, offset if live else offset - 1

    def left_when_read(left: int, back: int) -> int:
        """What the block before has left, `ahead` passes further; and of older blocks, what that pass reads."""
        nearest = max(0, left - ahead)
        return nearest if back == 1 else left_when_read(nearest, back - 1)

    @cache
    def latents(block: int, stage: int) -> Tensor:
        if stage == 0:
            return block_noise(spec, seed, block, 0)
        flow, _ = run(block, stage - 1)
        return after_step(spec, latents(block, stage - 1), flow, seed, block, stage - 1)

    @cache
    def run(block: int, stage: int) -> tuple[Tensor, Tensor]:
        own = torch.zeros(spec.layers, 2, spec.tokens_of(block), spec.heads, spec.head_dim)
        reads = []
        for j, moved in window(spec, block):
            end = steps_of(spec, j) + spec.clean_pass - 1
            reads.append(Past(own if j == block else run(j, end - left_when_read(last - stage, block - j))[1], moved))
        clean = stage == steps_of(spec, block)
        timestep = spec.context_timestep if clean else 1000 * spec.block_sigmas(block)[stage]
        given = PassInput(latents(block, stage), timestep, first_frame(spec, block), own, reads, text())
        return run_pass(model, given), own

    return [latents(block, steps_of(spec, block)) for block in range(blocks)]


@offsets
def test_equals_the_naive_loop(offset: int) -> None:
    model = wan_for(TINY_SPEC)
    found = generate(model, text(), blocks=BLOCKS, seed=3, offset=offset)
    assert same(found, _naive(model, blocks=BLOCKS, seed=3, offset=offset))


@few
@given(specs_and_offsets(), st.sampled_from([None, "causal"]), st.integers(1, 5), st.integers(0, 2**31))
def test_equals_the_naive_loop_for_any_model(
    chosen: tuple[ModelSpec, int], live: Live | None, blocks: int, seed: int
) -> None:
    spec, offset = chosen
    model = wan_for(spec)
    found = generate(model, text(), blocks=blocks, seed=seed, offset=offset, live=live)
    assert same(found, _naive(model, blocks=blocks, seed=seed, offset=offset, live=live))


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


# -- a first block of its own --------------------------------------------------------------------


def test_a_first_block_like_the_others_changes_nothing() -> None:
    alike = wan_for(variant(first_block_steps=3, first_block_frames=2))
    assert same(generate(alike, text(), blocks=2, seed=0), generate(wan_for(TINY_SPEC), text(), blocks=2, seed=0))


@pytest.mark.parametrize(
    ("own", "others"),
    [
        ({"first_block_steps": 5}, {"timesteps": (1000, 800, 600, 400, 200)}),
        ({"first_block_frames": 1}, {"frames_per_block": 1}),
    ],
)
def test_a_first_block_is_that_of_a_model_whose_blocks_are_all_like_it(
    own: dict[str, object], others: dict[str, object]
) -> None:
    """The noise of a block's size is drawn as such, so both begin alike."""
    found = generate(wan_for(variant(**own)), text(), blocks=2, seed=0)
    assert torch.equal(found[0], generate(wan_for(variant(**others)), text(), blocks=1, seed=0)[0])
    assert found[1].shape == (4, 2, 4, 4)


def test_blocks_after_a_first_one_of_its_own_are_the_usual_steps_from_where_it_ends() -> None:
    """Block 1 asks the model for the same timesteps; but it lies a frame earlier and reads another block 0."""
    model, asked = wan_for(variant(first_block_steps=4, first_block_frames=1)), []
    times = model.times

    def note(timestep: float) -> tuple[Tensor, Tensor]:
        asked.append(round(timestep))
        return times(timestep)

    model.times = note  # type: ignore[method-assign]
    found = generate(model, text(), blocks=2, seed=0)
    usual = [round(1000 * sigma) for sigma in TINY_SPEC.sigmas]
    assert asked == [1000, 938, 833, 625, 0, *usual]
    assert [block.shape[1] for block in found] == [1, 2]


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


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, -1, 5])
def test_offsets_outside_the_passes_are_refused(offset: int) -> None:
    with pytest.raises(ModelError, match=rf"offset must be 1\.\.4 for tiny, not {offset}"):
        generate(wan_for(TINY_SPEC), text(), blocks=1, seed=0, offset=offset)


@pytest.mark.parametrize("blocks", [0, -3])
def test_a_clip_has_a_block(blocks: int) -> None:
    with pytest.raises(ModelError, match=f"blocks must be at least 1, not {blocks}"):
        generate(wan_for(TINY_SPEC), text(), blocks=blocks, seed=0)
