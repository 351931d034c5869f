"""Names lead to specs whose parts fit one another, and a wrong name to the right one."""

from __future__ import annotations

from itertools import pairwise

import pytest

from models.catalog import CATALOG, load_spec
from models.errors import SpecError
from models.spec import ModelSpec
from models.toy.grammar import SIDE, VOCABULARY
from models.toy.train_vae import CHANNELS, CONFIG

catalog = pytest.mark.parametrize("spec", CATALOG.values(), ids=CATALOG)


@pytest.mark.parametrize("name", ["toy", "self-forcing-1.3b", "causvid-1.3b", "longlive-1.3b", "wan-14b"])
def test_a_name_leads_to_its_spec(name: str) -> None:
    assert load_spec(name).name == name


def test_a_near_miss_is_told_the_name_meant() -> None:
    with pytest.raises(SpecError, match=r"'self-forcing'; did you mean 'self-forcing-1\.3b'") as caught:
        load_spec("self-forcing")
    assert all(name in str(caught.value) for name in CATALOG)


def test_a_far_miss_is_told_every_name_and_none_in_particular() -> None:
    with pytest.raises(SpecError, match="'qqq'") as caught:
        load_spec("qqq")
    assert "did you mean" not in str(caught.value)
    assert all(name in str(caught.value) for name in CATALOG)


@catalog
def test_autoencoder_fits_the_transformer(spec: ModelSpec) -> None:
    """Each level but the last doubles height and width, and frames where it says so."""
    vae = spec.vae
    space = 2 ** (len(vae.dim_mult) - 1) * vae.pixel_patch
    assert spec.vae_stride == (2 ** sum(vae.temporal_upsample), space, space)
    assert vae.latent_channels == spec.latent_channels
    assert len(vae.temporal_upsample) == len(vae.dim_mult) - 1


@catalog
def test_noise_falls_from_all_to_some(spec: ModelSpec) -> None:
    assert spec.sigmas[0] == (0.7 if spec.name == "streamdiffusionv2-1.3b" else 1)  # which begins from a video
    assert list(spec.sigmas) == sorted(set(spec.sigmas), reverse=True)
    assert spec.sigmas[-1] >= 0.2


@pytest.mark.parametrize(
    ("name", "steps", "window", "sink"),
    [
        ("self-forcing-1.3b", 4, 7, 0),
        ("causvid-1.3b", 3, 7, 0),
        ("longlive-1.3b", 4, 4, 1),
        ("krea-realtime-14b", 4, 2, 0),
    ],
)
def test_published_samplers_and_windows(name: str, steps: int, window: int, sink: int) -> None:
    """In blocks of 3 frames; from the checkpoints' public configurations."""
    spec = load_spec(name)
    found = (spec.frames_per_block, spec.steps, spec.window // 3, spec.sink // 3)
    assert found == (3, steps, window, sink)


@pytest.mark.parametrize(
    ("name", "frames", "timesteps", "window", "sink"),
    [
        ("causal-forcing-1.3b", 3, (1000, 750, 500, 250), 21, 0),
        ("causal-forcing-framewise-1.3b", 1, (1000, 750, 500, 250), 21, 0),
        ("causal-forcing++-2step-1.3b", 1, (1000, 500), 21, 0),
        ("causal-forcing++-1step-1.3b", 1, (1000,), 21, 0),
        ("rolling-forcing-1.3b", 3, (1000, 800, 600, 400, 200), 21, 3),
        ("longlive2-5b", 8, (1000, 750, 500, 250), 32, 8),
        ("longlive2-5b-2step", 8, (1000, 500), 32, 8),
        ("streamdiffusionv2-1.3b", 1, (700, 500, 400, 200), 6, 3),
    ],
)
def test_published_blocks_steps_and_windows(
    name: str, frames: int, timesteps: tuple[float, ...], window: int, sink: int
) -> None:
    """In latent frames; from the checkpoints' public configurations."""
    spec = load_spec(name)
    assert (spec.frames_per_block, spec.timesteps, spec.window, spec.sink) == (frames, timesteps, window, sink)
    assert spec.first_block_steps == (4 if "++" in name else None)
    assert (spec.shift, spec.warp) == ((8, False) if "streamdiffusion" in name else (5, True))


@pytest.mark.parametrize(
    ("name", "file_bytes", "per_number"),
    [("longlive-1.3b", 5_676_075_416, 4), ("longlive2-5b", 9_999_858_697, 2)],
)
def test_sizes_are_those_of_the_published_files(name: str, file_bytes: int, per_number: int) -> None:
    """longlive_base.safetensors in float32 (825 tensors) and LongLive-2.0-5B's model_bf16.pt: weights and names."""
    assert 0 < file_bytes - per_number * load_spec(name).parameters < 500_000


def test_every_pattern_a_spec_tolerates_is_one_that_is_known() -> None:
    known = {"sequential", "cascade", "same-level", "cascade-live-joint", "cascade-live-causal", "sequential-recompute"}
    assert {name for spec in CATALOG.values() for name in spec.tolerates} <= known


def test_the_toys_spec_is_what_its_training_makes() -> None:
    toy = load_spec("toy")
    assert (toy.pixel_height, toy.pixel_width, toy.text_dim, toy.text_length) == (SIDE, SIDE, VOCABULARY, 6)
    assert toy.latent_channels == CHANNELS
    assert toy.vae_stride == tuple(CONFIG[f"scale_factor_{axis}"] for axis in ("temporal", "spatial", "spatial"))
    assert (toy.vae.decoder_dim, list(toy.vae.dim_mult)) == (CONFIG["base_dim"], CONFIG["dim_mult"])
    assert (toy.vae.pixel_patch, toy.vae.residual_blocks) == (CONFIG["patch_size"], CONFIG["num_res_blocks"])


@catalog
def test_each_block_read_costs_its_scores_and_its_mixing(spec: ModelSpec) -> None:
    costs = [spec.pass_flops(context) for context in range(4)]
    extra = 2 * 2 * spec.tokens_per_block**2 * spec.dim * spec.layers
    assert [b - a for a, b in pairwise(costs)] == [extra] * 3
