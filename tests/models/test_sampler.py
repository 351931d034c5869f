"""Noise depends on (seed, block, step) and on nothing else; a step does what flow matching says, by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.catalog import load_spec
from models.sampler import after_step, block_noise, predict_clean, renoise
from tests.models.variants import variant
from tests.tiny import TINY_SPEC

TOY = load_spec("toy")
SHAPE = (4, 2, 4, 4)

keys = st.tuples(st.integers(0, 2**40), st.integers(0, 50), st.integers(0, 4))


def _all(value: float) -> Tensor:
    return torch.full(SHAPE, value)


@given(st.lists(keys, min_size=2, max_size=5, unique=True), st.integers(0, 1000))
def test_noise_is_a_function_of_its_key(wanted: list[tuple[int, int, int]], anything: int) -> None:
    """Whatever was drawn before, and whatever the global generator's state."""
    first = {key: block_noise(TINY_SPEC, *key) for key in wanted}
    torch.manual_seed(anything)
    again = {key: block_noise(TINY_SPEC, *key) for key in reversed(wanted)}
    assert all(torch.equal(first[key], again[key]) for key in wanted)
    values = list(first.values())
    assert not any(torch.equal(a, b) for i, a in enumerate(values) for b in values[:i])


@pytest.mark.parametrize("other", [(8, 2, 1), (7, 3, 1), (7, 2, 2), (7, 1, 2), (2, 7, 1), (72, 1, 1), (7, 21, 1)])
def test_each_part_of_the_key_counts(other: tuple[int, int, int]) -> None:
    assert not torch.equal(block_noise(TINY_SPEC, 7, 2, 1), block_noise(TINY_SPEC, *other))


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    block_noise(TINY_SPEC, 0, 0, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_is_standard_normal_in_the_latents_shape() -> None:
    noise = torch.stack([block_noise(TOY, 0, block, 0) for block in range(40)])
    assert noise.shape == (40, 16, 3, 4, 4)
    assert noise.dtype == torch.float32
    assert abs(noise.mean()) < 0.02  # of 30720 numbers: over three standard errors
    assert noise.std() == pytest.approx(1, abs=0.015)
    assert noise.abs().gt(2).float().mean() == pytest.approx(0.0455, abs=0.005)


def test_noise_of_a_key_stays_what_it_is() -> None:
    """A seed names the same video in every release."""
    assert block_noise(TINY_SPEC, 0, 0, 0).flatten()[:3].tolist() == pytest.approx(
        [-0.281166, -0.470284, 0.358399], abs=1e-5
    )


def test_a_step_by_hand() -> None:
    """From noise alone: x0 = 2 - 1 x 0.5; then at sigma 0.9375 a sixteenth of it under fresh noise of the next step."""
    found = after_step(TINY_SPEC, _all(2.0), _all(0.5), seed=3, block=1, step=0)
    wanted = 0.0625 * 1.5 + 0.9375 * block_noise(TINY_SPEC, 3, 1, 1)
    torch.testing.assert_close(found, wanted)


def test_a_middle_step_by_hand() -> None:
    """At sigma 0.9375: x0 = 2 + 0.9375 x 2; then a sixth of it under noise at 5/6."""
    found = after_step(TINY_SPEC, _all(2.0), _all(-2.0), seed=3, block=1, step=1)
    torch.testing.assert_close(found, 3.875 / 6 + 5 / 6 * block_noise(TINY_SPEC, 3, 1, 2))


def test_the_last_step_leaves_clean_latents() -> None:
    """At 5/6, with no noise added: 2 - 5/6 x 3 = -0.5."""
    torch.testing.assert_close(after_step(TINY_SPEC, _all(2.0), _all(3.0), seed=3, block=1, step=2), _all(-0.5))
    one_step = variant(timesteps=(1000,))
    torch.testing.assert_close(after_step(one_step, _all(2.0), _all(3.0), seed=3, block=1, step=0), _all(-1.0))


@given(st.floats(0.01, 1), st.floats(-3, 3), st.floats(-3, 3))
def test_the_true_flow_gives_the_clean_latents_back(sigma: float, clean: float, noise: float) -> None:
    """x_sigma - sigma (noise - x0) = x0."""
    noisy = renoise(_all(clean), _all(noise), sigma)
    torch.testing.assert_close(predict_clean(noisy, _all(noise - clean), sigma), _all(clean), atol=1e-5, rtol=0)


def test_clean_latents_are_computed_in_float32() -> None:
    half = predict_clean(_all(1.0).bfloat16(), _all(1.0).bfloat16(), 0.3)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, _all(0.7))
