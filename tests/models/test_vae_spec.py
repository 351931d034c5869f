"""The decoder's cost is what torch counts when diffusers' decoder runs: any shape, first and later blocks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from models.catalog import load_spec
from models.toy.train_vae import CONFIG
from models.vae import WanCodec
from models.vae_spec import WAN_2_1, WAN_2_2, VaeSpec

FEW = VaeSpec(decoder_dim=4, latent_channels=3, dim_mult=(1, 2), residual_blocks=2, temporal_upsample=(False,))


def _decoder(config: dict[str, Any]) -> AutoencoderKLWan:
    """Shapes without numbers."""
    with torch.device("meta"):
        return AutoencoderKLWan(**config)


def _config(spec: VaeSpec) -> dict[str, Any]:
    """diffusers' arguments; it names the temporal levels from the pixels to the latents."""
    patched = {} if spec.pixel_patch == 1 else {"patch_size": spec.pixel_patch}
    return {
        "base_dim": spec.decoder_dim,
        "z_dim": spec.latent_channels,
        "dim_mult": list(spec.dim_mult),
        "num_res_blocks": spec.residual_blocks,
        "temperal_downsample": list(reversed(spec.temporal_upsample)),
        "latents_mean": [0.0] * spec.latent_channels,
        "latents_std": [1.0] * spec.latent_channels,
        "is_residual": spec.wide_upsample,
        "in_channels": 3 * spec.pixel_patch**2,
        "out_channels": 3 * spec.pixel_patch**2,
    } | patched


def _counted(vae: AutoencoderKLWan, frames: int, height: int, width: int, *, first: bool) -> int:
    """What decoding a block costs, as `StreamingDecoder` does it: a stream's first latent frame goes alone."""
    memory: list[Any] = [None] * vae._cached_conv_counts["decoder"]

    def run(count: int, *, begins: bool) -> None:
        latents = torch.empty(1, vae.config.z_dim, count, height, width, device="meta")
        vae.decoder(vae.post_quant_conv(latents), feat_cache=memory, feat_idx=[0], first_chunk=begins)

    if not first:
        run(1, begins=True)
    # torch counts the matrix products of attention, but not of its fused CPU kernel.
    with torch.no_grad(), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        if first:
            run(1, begins=True)
            if frames > 1:
                run(frames - 1, begins=False)
        else:
            run(frames, begins=False)
    return int(counter.get_total_flops())


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("spec", "config", "frames", "height", "width"),
    [
        (load_spec("toy").vae, CONFIG, 3, 4, 4),
        (load_spec("toy").vae, CONFIG, 1, 4, 4),
        (WAN_2_1, {}, 3, 2, 3),  # diffusers' defaults
        (WAN_2_1, {}, 3, 60, 104),
        (WAN_2_2, _config(WAN_2_2), 3, 2, 3),
        (FEW, _config(FEW), 2, 3, 5),
    ],
    ids=["toy", "toy, one frame", "Wan 2.1", "Wan 2.1 at 832x480", "Wan 2.2", "few"],
)
def test_decode_flops_are_those_torch_counts(
    spec: VaeSpec, config: dict[str, Any], frames: int, height: int, width: int, first: bool
) -> None:
    counted = _counted(_decoder(config), frames, height, width, first=first)
    assert spec.decode_flops(frames, height, width, first=first) == counted


@pytest.mark.parametrize(
    ("spec", "config"),
    [(load_spec("toy").vae, CONFIG), (WAN_2_1, {}), (WAN_2_2, _config(WAN_2_2)), (FEW, _config(FEW))],
    ids=["toy", "Wan 2.1", "Wan 2.2", "few"],
)
def test_the_state_is_what_a_stream_keeps(spec: VaeSpec, config: dict[str, Any]) -> None:
    """From its third block on at the latest; the numbers themselves are of no matter."""
    with torch.device("meta"):
        decoder = WanCodec(_decoder(config).eval()).decoder()
        for _ in range(3):
            decoder.decode(torch.zeros(spec.latent_channels, 2, 4, 6))
    assert sum(tensor.numel() for tensor in decoder.state().values()) == spec.decode_state(4, 6)


@st.composite
def _specs(draw: st.DrawFn) -> VaeSpec:
    levels = draw(st.integers(1, 3))
    wide = draw(st.booleans())
    # Around a wide level diffusers folds channels into one another, so that they must divide each other.
    folding = [(1, 1, 1), (1, 2, 2), (2, 4, 4)] if levels == 3 else [(1, 1), (2, 2)] if levels == 2 else [(1,)]
    mults = draw(st.sampled_from(folding)) if wide else tuple(draw(st.integers(1, 3)) for _ in range(levels))
    return VaeSpec(
        decoder_dim=draw(st.sampled_from([4, 6])),
        latent_channels=draw(st.integers(1, 4)),
        dim_mult=mults,
        residual_blocks=draw(st.integers(1, 2)),
        temporal_upsample=tuple(draw(st.booleans()) for _ in range(levels - 1)),
        pixel_patch=draw(st.integers(1, 2)),
        wide_upsample=wide,
    )


@settings(max_examples=15)
@given(_specs(), st.integers(1, 3), st.booleans())
def test_decode_flops_of_any_shape(spec: VaeSpec, frames: int, first: bool) -> None:
    assert spec.decode_flops(frames, 2, 3, first=first) == _counted(_decoder(_config(spec)), frames, 2, 3, first=first)


@settings(max_examples=50)
@given(_specs(), st.integers(1, 3))
def test_layers_add_up_to_the_decoder(spec: VaeSpec, frames: int) -> None:
    layers = spec.decode_layers(frames, 2, 3)
    assert sum(flops for flops, _ in layers) == spec.decode_flops(frames, 2, 3)
    assert all(flops > 0 and numbers > 0 for flops, numbers in layers)
    # The first takes the latents as they are, the last leaves the pixels.
    time, rows, columns = spec.stride
    assert layers[0][1] == spec.latent_channels * frames * 2 * 3
    assert layers[-1][1] == 3 * (time * frames) * (rows * 2) * (columns * 3)


def test_layers_by_hand() -> None:
    """One level of two channels, two frames of 3 positions: the convolutions in the order they run."""
    spec = VaeSpec(decoder_dim=2, latent_channels=1, dim_mult=(1,), residual_blocks=1, temporal_upsample=())
    numbers = [count for _, count in spec.decode_layers(2, 1, 3)]
    assert numbers == [6, 12, *[12] * 4, 36, 12, *[12] * 4, 18]


@pytest.mark.parametrize(
    ("spec", "config"),
    [(load_spec("toy").vae, CONFIG), (WAN_2_1, {}), (WAN_2_2, _config(WAN_2_2)), (FEW, _config(FEW))],
    ids=["toy", "Wan 2.1", "Wan 2.2", "few"],
)
def test_decoder_parameters_are_those_of_its_convolutions(spec: VaeSpec, config: dict[str, Any]) -> None:
    """All but the norms' gains, which are a thousandth."""
    vae = _decoder(config)
    named = [*vae.decoder.named_parameters(), *vae.post_quant_conv.named_parameters()]
    assert spec.decoder_parameters == sum(p.numel() for name, p in named if "norm" not in name and "gamma" not in name)


def test_the_smallest_decoder_by_hand() -> None:
    """One level of two channels; a 3x3x3 convolution between them holds (27 x 2 + 1) x 2 = 110 numbers."""
    spec = VaeSpec(decoder_dim=2, latent_channels=1, dim_mult=(1,), residual_blocks=1, temporal_upsample=())
    middle, level = 4 * 110 + 18 + 6, 2 * 2 * 110
    assert spec.decoder_parameters == 2 + 56 + middle + level + 165
    # Two frames of 3 positions: 2 FLOPs a weight and position (biases are free), then each frame attends to itself.
    weights = 1 + 54 + 4 * 108 + 12 + 4 + 4 * 108 + 162
    assert spec.decode_flops(2, 1, 3) == 2 * 6 * weights + 2 * (2 * 2 * 3 * 3 * 2)


def test_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="encoder_dim"):
        VaeSpec.model_validate(FEW.model_dump() | {"encoder_dim": 4})
    with pytest.raises(ValidationError, match="dim_mult"):
        VaeSpec.model_validate(FEW.model_dump() | {"dim_mult": ()})
