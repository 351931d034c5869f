"""The live exchanges, and every other one besides, against a clip run by the clock.

Claims: each pattern equals, bit for bit, lock-step ticks that read whatever K/V is there by then; offset n + 1 is the
sequential pipeline in each; joint attends to newer blocks and causal does not; each pattern is another video.
"""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.generate import generate
from models.order import Live
from models.spec import ModelSpec
from tests.models.naive import by_the_clock
from tests.models.variants import same, specs_and_offsets, text, variant, wan_for
from tests.tiny import TINY_SPEC

EXCHANGES: tuple[Live | None, ...] = (None, "causal", "joint")
exchanges = pytest.mark.parametrize("live", EXCHANGES)
OWN_FIRST = {"first_block_steps": 4, "first_block_frames": 1}
kinds = pytest.mark.parametrize("changes", [{}, {"clean_pass": False}, OWN_FIRST], ids=["usual", "no-clean", "first"])
few = settings(max_examples=20)


def clip(spec: ModelSpec, offset: int | None, live: Live | None, blocks: int = 4) -> list[Tensor]:
    return generate(wan_for(spec), text(), blocks=blocks, seed=2, offset=offset, live=live)


# -- against the clock ---------------------------------------------------------------------------


@exchanges
@pytest.mark.parametrize("offset", [1, 2, 3])
@kinds
def test_equals_lock_step_ticks(live: Live | None, offset: int, changes: dict[str, object]) -> None:
    spec = variant(**changes)
    wanted = by_the_clock(wan_for(spec), [text()], blocks=5, seed=2, offset=offset, live=live)
    assert same(clip(spec, offset, live, blocks=5), wanted)


@few
@given(specs_and_offsets(), st.sampled_from(EXCHANGES), st.integers(1, 5), st.lists(st.integers(0, 16), max_size=2))
def test_equals_lock_step_ticks_for_any_model_and_prompts(
    chosen: tuple[ModelSpec, int], live: Live | None, blocks: int, switches: list[int]
) -> None:
    (spec, offset), ticks = chosen, sorted(switches)
    model, prompts = wan_for(spec), [text(), text("another"), text("a third")][: len(ticks) + 1]
    found = generate(model, prompts, blocks=blocks, seed=7, offset=offset, live=live, switch_ticks=ticks)
    wanted = by_the_clock(model, prompts, blocks=blocks, seed=7, offset=offset, live=live, switch_ticks=ticks)
    assert same(found, wanted)


# -- one family ----------------------------------------------------------------------------------


@few
@given(specs_and_offsets(), st.sampled_from(EXCHANGES), st.integers(1, 5))
def test_an_offset_of_all_passes_is_sequential(chosen: tuple[ModelSpec, int], live: Live | None, blocks: int) -> None:
    spec, _ = chosen
    assert same(clip(spec, spec.passes, live, blocks), clip(spec, None, None, blocks))


@few
@given(specs_and_offsets(), st.integers(1, 5))
def test_live_causal_reads_as_after_does_a_pass_further_apart(chosen: tuple[ModelSpec, int], blocks: int) -> None:
    spec, offset = chosen
    further = min(offset + 1, spec.passes)
    assert same(clip(spec, offset, "causal", blocks), clip(spec, further, None, blocks))


@kinds
def test_each_exchange_is_another_video(changes: dict[str, object]) -> None:
    """Else the equalities here would hold of a model that reads no context, or none but older blocks'."""
    for one, other in combinations([clip(variant(**changes), 1, live, blocks=3) for live in EXCHANGES], 2):
        assert (one[1] - other[1]).abs().max() > 1e-5


# -- which way K/V goes --------------------------------------------------------------------------


@exchanges
def test_only_joint_blocks_depend_on_those_that_follow(live: Live | None) -> None:
    alone, followed = (clip(TINY_SPEC, 1, live, blocks)[0] for blocks in (1, 2))
    assert torch.equal(alone, followed) == (live != "joint")


def test_a_joint_block_depends_on_none_that_begins_when_it_is_clean() -> None:
    """Three steps: at offset 2 block 1 begins with block 0's third, and block 2 after block 0 is clean."""
    (one, _), (two, *_) = (clip(TINY_SPEC, 2, "joint", blocks) for blocks in (2, 5))
    assert torch.equal(one, two)
    assert not torch.equal(one, clip(TINY_SPEC, 2, "joint", 1)[0])


def test_a_joint_clean_pass_reads_newer_blocks_too() -> None:
    """At offset 3 block 1 begins beside block 0's clean pass: block 0 is done by then, and its clean K/V is not."""
    joint, causal = clip(TINY_SPEC, 3, "joint", 2), clip(TINY_SPEC, 3, "causal", 2)
    assert torch.equal(joint[0], causal[0])
    assert not torch.equal(joint[1], causal[1])
