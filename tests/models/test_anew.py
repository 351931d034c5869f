"""K/V that is made anew, and prompts that change.

Claims: a clip whose context is encoded again from pixels, or made anew from its clean latents with a new prompt,
equals bit for bit the plain loop that drops all K/V and makes it over; a switch reaches the passes from its tick on
and none before.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.errors import ModelError
from models.generate import generate
from models.order import Live
from models.spec import ModelSpec
from models.vae import WanCodec, WanEncoder
from tests.models.naive import one_after_the_other
from tests.models.variants import same, streams, text, tiny, variant, wan_for
from tests.tiny import TINY_SPEC, tiny_vae

few = settings(max_examples=15)
PROMPTS = text("one"), text("two"), text("three")
PASSES = TINY_SPEC.passes


def recomputed(spec: ModelSpec = TINY_SPEC, blocks: int = 4, **asked: object) -> list[Tensor]:
    return generate(wan_for(spec), PROMPTS[0], blocks=blocks, seed=4, codec=tiny().vae, **asked)  # type: ignore[arg-type]


def switched(ticks: Sequence[int], *, recached: Sequence[int] = (), blocks: int = 4, **asked: object) -> list[Tensor]:
    prompts = PROMPTS[: len(ticks) + 1]
    asked |= {"blocks": blocks, "seed": 4, "switch_ticks": ticks, "recached": recached}
    return generate(wan_for(TINY_SPEC), prompts, **asked)  # type: ignore[arg-type]


# -- sequential-recompute ------------------------------------------------------------------------


def test_recompute_equals_the_plain_loop() -> None:
    wanted = one_after_the_other(wan_for(TINY_SPEC), PROMPTS, blocks=6, seed=4, codec=tiny().vae)
    assert same(recomputed(blocks=6), wanted)


@few
@given(streams(), st.integers(1, 5), st.lists(st.integers(0, 16), max_size=2).map(sorted))
def test_recompute_equals_the_plain_loop_for_any_model_and_prompts(
    spec: ModelSpec, blocks: int, ticks: list[int]
) -> None:
    model, prompts = wan_for(spec), PROMPTS[: len(ticks) + 1]
    codec = tiny().vae
    found = generate(model, prompts, blocks=blocks, seed=1, codec=codec, switch_ticks=ticks)
    wanted = one_after_the_other(model, prompts, blocks=blocks, seed=1, codec=codec, switch_ticks=ticks)
    assert same(found, wanted)


def test_recompute_is_another_video_from_the_second_block_on() -> None:
    usual, anew = generate(wan_for(TINY_SPEC), PROMPTS[0], blocks=3, seed=4), recomputed(blocks=3)
    assert torch.equal(anew[0], usual[0])
    assert (anew[1] - usual[1]).abs().max() > 1e-3
    assert same(recomputed(blocks=6)[:3], anew)


def test_pixels_are_a_stream_and_the_last_block_gives_none() -> None:
    """Two latent frames a block: three pixel frames first, then four, and none of the last block."""

    lengths: list[int] = []

    class Counted(WanEncoder):
        def encode(self, frames_FHWC: Tensor) -> Tensor:
            lengths.append(len(frames_FHWC))
            return super().encode(frames_FHWC)

    class Counting(WanCodec):
        def encoder(self) -> WanEncoder:
            return Counted(self.vae, self.frames_at_once)

    generate(wan_for(TINY_SPEC), PROMPTS[0], blocks=4, seed=4, codec=Counting(tiny_vae()))
    assert lengths == [3, 4, 4]


# -- making the context anew ---------------------------------------------------------------------


@pytest.mark.parametrize("recached", [(1,), (3,), (2, 4), (1, 2, 3, 4, 5)])
def test_recaching_equals_the_plain_loop(recached: tuple[int, ...]) -> None:
    ticks = [recached[0] * PASSES]
    wanted = one_after_the_other(wan_for(TINY_SPEC), PROMPTS, blocks=6, seed=4, recached=recached, switch_ticks=ticks)
    assert same(switched(ticks, recached=recached, blocks=6), wanted)


@few
@given(streams(), st.integers(2, 6), st.sets(st.integers(1, 5), max_size=3), st.lists(st.integers(0, 20), max_size=2))
def test_recaching_equals_the_plain_loop_for_any_model(
    spec: ModelSpec, blocks: int, recached: set[int], switches: list[int]
) -> None:
    model, ticks = wan_for(spec), sorted(switches)
    anew, prompts = sorted(block for block in recached if block < blocks), PROMPTS[: len(ticks) + 1]
    found = generate(model, prompts, blocks=blocks, seed=1, switch_ticks=ticks, recached=anew)
    wanted = one_after_the_other(model, prompts, blocks=blocks, seed=1, switch_ticks=ticks, recached=anew)
    assert same(found, wanted)


def test_blocks_to_recache_may_come_in_any_order_and_twice() -> None:
    assert same(switched([5], recached=[3, 1, 3]), switched([5], recached=[1, 3]))


def test_recaching_lets_the_new_prompt_into_the_context() -> None:
    before, after = switched([2 * PASSES]), switched([2 * PASSES], recached=[2])
    assert same(before[:2], after[:2])
    assert all((a - b).abs().max() > 1e-5 for a, b in zip(before[2:], after[2:], strict=True))


def test_recaching_with_the_old_prompt_changes_nothing_while_the_window_has_all() -> None:
    """Clean passes over the same latents with the same prompt and context make the same K/V."""
    spec = variant(window=8, sink=0)
    model = wan_for(spec)
    usual = generate(model, PROMPTS[0], blocks=4, seed=4)
    assert same(generate(model, PROMPTS[0], blocks=4, seed=4, recached=[1, 2, 3]), usual)


# -- prompt switches -----------------------------------------------------------------------------


@pytest.mark.parametrize("live", [None, "causal", "joint"])
@pytest.mark.parametrize("offset", [1, 2, PASSES])
def test_a_switch_changes_all_that_ends_after_it_and_nothing_before(live: Live | None, offset: int) -> None:
    usual = switched([], offset=offset, live=live)
    for tick in (1, offset + 1, offset + 2, 2 * offset + 2):
        done = [block * offset + TINY_SPEC.steps - 1 < tick for block in range(4)]
        found = switched([tick], offset=offset, live=live)
        assert [torch.equal(a, b) for a, b in zip(found, usual, strict=True)] == done


@pytest.mark.parametrize("live", [None, "causal", "joint"])
def test_a_switch_at_the_start_is_the_other_prompt_and_one_after_the_end_is_none(live: Live | None) -> None:
    model = wan_for(TINY_SPEC)
    one, two, three = (generate(model, prompt, blocks=3, seed=4, offset=2, live=live) for prompt in PROMPTS)
    assert same(switched([0], blocks=3, offset=2, live=live), two)
    assert same(switched([0, 0], blocks=3, offset=2, live=live), three)
    last = 2 * 2 + TINY_SPEC.steps - 1
    assert same(switched([last + 1], blocks=3, offset=2, live=live), one)
    assert not same(switched([last], blocks=3, offset=2, live=live), one)


def test_a_first_block_of_more_steps_moves_the_later_ticks() -> None:
    """Five steps and a clean pass: block 1 begins in tick 6, not 4."""
    model = wan_for(variant(first_block_steps=5))
    one, two = (generate(model, prompt, blocks=2, seed=4) for prompt in PROMPTS[:2])
    late, later = (generate(model, PROMPTS[:2], blocks=2, seed=4, switch_ticks=[tick]) for tick in (5, 6))
    assert torch.equal(late[0], one[0])
    assert not torch.equal(late[1], later[1])  # the clean pass of block 0 read the new prompt
    early = generate(model, PROMPTS[:2], blocks=2, seed=4, switch_ticks=[4])
    assert not torch.equal(early[0], one[0])
    assert not torch.equal(early[0], two[0])


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"live": "both"}, "live must be None, 'causal' or 'joint', not 'both'"),
        ({"codec": True, "offset": 2}, "codec: only sequential clips make K/V anew; leave offset and live out"),
        ({"codec": True, "live": "joint"}, "codec: only sequential clips"),
        ({"recached": [1], "offset": 2}, "recached: only sequential clips"),
        ({"recached": [1], "live": "causal"}, "recached: only sequential clips"),
        ({"recached": [1], "codec": True}, "recached: with a codec the context is made anew before every block"),
        ({"recached": [0]}, r"recached: \[0\] must be blocks of 1..3"),
        ({"recached": [2, 4]}, r"recached: \[2, 4\] must be blocks of 1..3"),
        ({"switch_ticks": [-1]}, r"switch_ticks: \[-1\] must count from 0 and never fall"),
        ({"switch_ticks": [4, 2]}, r"switch_ticks: \[4, 2\] must count from 0"),
        ({"switch_ticks": [4]}, "text: 1 prompts for 1 switches; give one for the start and one a switch"),
    ],
)
def test_what_does_not_go_together_is_refused(asked: dict[str, object], fault: str) -> None:
    asked |= {"codec": tiny().vae} if asked.get("codec") else {}
    with pytest.raises(ModelError, match=fault):
        generate(wan_for(TINY_SPEC), PROMPTS[0], blocks=4, seed=0, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_text", "fault"),
    [
        ([], "text: 0 prompts for 0 switches"),
        (PROMPTS, "text: 3 prompts for 0 switches"),
        (PROMPTS[0][:1], "text: prompt 0 has 1 views for 2 layers; make them with encode_text"),
        ([PROMPTS[0] * 2], "text: prompt 0 has 4 views for 2 layers"),
    ],
)
def test_texts_that_do_not_fit_are_refused(given_text: Sequence[object], fault: str) -> None:
    with pytest.raises(ModelError, match=fault):
        generate(wan_for(TINY_SPEC), given_text, blocks=1, seed=0)  # type: ignore[arg-type]


def test_one_prompt_may_come_as_a_list_of_one() -> None:
    model = wan_for(TINY_SPEC)
    assert same(generate(model, PROMPTS[:1], blocks=2, seed=0), generate(model, PROMPTS[0], blocks=2, seed=0))
