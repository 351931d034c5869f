"""Named model specs. Figures are read from the checkpoints' public configuration and code; each names its source."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from models.errors import SpecError
from models.spec import ModelSpec
from models.vae_spec import WAN_2_1, WAN_2_2, VaeSpec

_WAN_1_3B: dict[str, Any] = dict(layers=30, heads=12, head_dim=128, ffn_dim=8960)
_WAN_14B: dict[str, Any] = dict(layers=40, heads=40, head_dim=128, ffn_dim=13824)
# UMT5-XXL's encoder, 24 layers of width 4096: its public configuration's shapes, embeddings (a look-up) not counted.
_UMT5_ENCODER = 24 * (4 * 4096 * 4096 + 3 * 4096 * 10240)
_480P: dict[str, Any] = dict(
    text_length=512,
    text_dim=4096,
    text_encoder_parameters=_UMT5_ENCODER,
    latent_channels=16,
    latent_height=60,
    latent_width=104,
    vae=WAN_2_1,
)
# The text-and-image-to-video model of Wan 2.2, at the size LongLive 2 runs it: wan_5b/configs/wan_ti2v_5B.py there.
_WAN_5B: dict[str, Any] = dict(
    layers=30,
    heads=24,
    head_dim=128,
    ffn_dim=14336,
    text_length=512,
    text_dim=4096,
    text_encoder_parameters=_UMT5_ENCODER,
    latent_channels=48,
    latent_height=44,
    latent_width=80,
    vae_stride=(4, 16, 16),
    vae=WAN_2_2,
    frame_rate=24.0,
)
_CASCADES = ("sequential", "cascade-live-joint")

_SPECS = (
    ModelSpec(
        name="toy",
        source="models/toy in this repository",
        layers=6,
        heads=4,
        head_dim=48,
        ffn_dim=512,
        freq_dim=64,
        text_length=6,
        text_dim=22,
        latent_channels=16,
        latent_height=4,
        latent_width=4,
        patch=(1, 1, 1),
        vae_stride=(4, 16, 16),
        vae=VaeSpec(
            decoder_dim=24,
            latent_channels=16,
            dim_mult=(1, 2, 2),
            residual_blocks=1,
            temporal_upsample=(True, True),
            pixel_patch=4,
        ),
        frames_per_block=3,
        window=12,
        sink=3,
        relative_sink=True,
        timesteps=(1000, 750, 500, 250),
        tolerates=("sequential", "cascade"),
        weight_bytes_per_parameter=4,
        activation_bytes_per_number=4,
    ),
    ModelSpec(
        name="self-forcing-1.3b",
        source="Self-Forcing configs/self_forcing_dmd.yaml; cascades: arXiv 2511.20426",
        **_WAN_1_3B,
        **_480P,
        frames_per_block=3,
        window=21,
        sink=0,
        timesteps=(1000, 750, 500, 250),
        tolerates=_CASCADES,
    ),
    ModelSpec(
        name="causvid-1.3b",
        source="CausVid configs/wan_causal_dmd.yaml; cascades: arXiv 2511.20426",
        **_WAN_1_3B,
        **_480P,
        frames_per_block=3,
        window=21,
        sink=0,
        timesteps=(1000, 757, 522),
        shift=8.0,
        warp=False,
        tolerates=_CASCADES,
    ),
    ModelSpec(
        name="longlive-1.3b",
        source="LongLive configs/longlive_inference.yaml; cascades: arXiv 2511.20426",
        **_WAN_1_3B,
        **_480P,
        frames_per_block=3,
        window=12,
        sink=3,
        timesteps=(1000, 750, 500, 250),
        tolerates=_CASCADES,
    ),
    ModelSpec(
        name="causal-forcing-1.3b",
        source="Causal-Forcing configs/causal_forcing_dmd_chunkwise.yaml",
        **_WAN_1_3B,
        **_480P,
        frames_per_block=3,
        window=21,
        sink=0,
        timesteps=(1000, 750, 500, 250),
        tolerates=("sequential",),
    ),
    ModelSpec(
        name="causal-forcing-framewise-1.3b",
        source="Causal-Forcing configs/causal_forcing_dmd_framewise.yaml",
        **_WAN_1_3B,
        **_480P,
        frames_per_block=1,
        window=21,
        sink=0,
        timesteps=(1000, 750, 500, 250),
        tolerates=("sequential",),
    ),
    ModelSpec(
        name="causal-forcing++-2step-1.3b",
        source="Causal-Forcing configs/causal_forcing_dmd_framewise_2step.yaml",
        **_WAN_1_3B,
        **_480P,
        frames_per_block=1,
        window=21,
        sink=0,
        timesteps=(1000, 500),
        first_block_steps=4,
        tolerates=("sequential",),
    ),
    ModelSpec(
        name="causal-forcing++-1step-1.3b",
        source="Causal-Forcing configs/causal_forcing_dmd_framewise_1step.yaml",
        **_WAN_1_3B,
        **_480P,
        frames_per_block=1,
        window=21,
        sink=0,
        timesteps=(1000,),
        first_block_steps=4,
        tolerates=("sequential",),
    ),
    ModelSpec(
        name="rolling-forcing-1.3b",
        source="RollingForcing configs/rolling_forcing_dmd.yaml, wan/modules/causal_model.py",
        **_WAN_1_3B,
        **_480P,
        frames_per_block=3,
        window=21,
        sink=3,
        relative_sink=True,
        timesteps=(1000, 800, 600, 400, 200),
        # Trained on five blocks in one window; decoded block after block it drifts.
        tolerates=("cascade-live-joint",),
    ),
    ModelSpec(
        name="longlive2-5b",
        source="LongLive 2 configs/inference.yaml",
        **_WAN_5B,
        frames_per_block=8,
        window=32,
        sink=8,
        timesteps=(1000, 750, 500, 250),
        tolerates=("sequential",),
    ),
    ModelSpec(
        name="longlive2-5b-2step",
        source="LongLive 2 configs/nvfp4/inference_nvfp4.yaml with two steps, as LongLive-2.0-5B-NVFP4-S2",
        **_WAN_5B,
        frames_per_block=8,
        window=32,
        sink=8,
        timesteps=(1000, 500),
        tolerates=("sequential",),
    ),
    ModelSpec(
        name="streamdiffusionv2-1.3b",
        source="StreamDiffusionV2 configs/wan_causal_dmd_v2v.yaml; video to video, from an input at 0.7 noise",
        **_WAN_1_3B,
        **_480P,
        frames_per_block=1,
        window=6,
        sink=3,
        timesteps=(700, 500, 400, 200),
        shift=8.0,
        warp=False,
        clean_pass=False,
        tolerates=("same-level",),
    ),
    ModelSpec(
        name="krea-realtime-14b",
        source="krea-ai realtime-video configs; block cascading at 14B: arXiv 2511.20426",
        **_WAN_14B,
        **_480P,
        frames_per_block=3,
        window=6,
        sink=0,
        timesteps=(1000, 937, 833, 625),
        warp=False,
        tolerates=("sequential-recompute", *_CASCADES),
    ),
    ModelSpec(
        name="wan-14b",
        source="Wan 2.1 T2V 14B shapes with Self-Forcing's sampler and window",
        **_WAN_14B,
        **_480P,
        frames_per_block=3,
        window=21,
        sink=0,
        timesteps=(1000, 750, 500, 250),
        tolerates=("sequential",),
    ),
)

CATALOG = {spec.name: spec for spec in _SPECS}


def load_spec(name: str) -> ModelSpec:
    """The catalog's spec of that name. Raises SpecError that lists the names known."""
    if name not in CATALOG:
        close = get_close_matches(name, CATALOG, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise SpecError(f"unknown model {name!r}{hint} Known: {', '.join(CATALOG)}")
    return CATALOG[name]
