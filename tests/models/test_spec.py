"""What the planner believes of a model is what the model does.

Claims: the closed forms for parameters and FLOPs equal diffusers' modules and torch's own count, to the unit; K/V
bytes, forwards and noise levels are the published ones; a pass reads its sink and its window and nothing else; shapes
that contradict each other are refused by the name of the field.
"""

from __future__ import annotations

import pytest
import torch
from diffusers import WanTransformer3DModel
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from models.catalog import load_spec
from models.checkpoint import wan_config
from models.forward import PassInput, Past, run_pass
from models.spec import ModelSpec
from models.wan import CausalWan
from tests.models.variants import specs, variant
from tests.tiny import TINY_SPEC

SELF_FORCING = load_spec("self-forcing-1.3b")
LONGLIVE = load_spec("longlive-1.3b")
WAN_14B = load_spec("wan-14b")
KREA = load_spec("krea-realtime-14b")
TOY = load_spec("toy")

blocks = st.integers(0, 40)


# -- parameters and FLOPs ------------------------------------------------------------------------


def _on_meta(spec: ModelSpec) -> WanTransformer3DModel:
    """Shapes without numbers: 14B parameters for nothing."""
    with torch.device("meta"):
        return WanTransformer3DModel(**wan_config(spec))


@pytest.mark.parametrize("spec", [TINY_SPEC, TOY, SELF_FORCING, WAN_14B], ids=lambda spec: spec.name)
def test_parameters_are_those_of_diffusers_model(spec: ModelSpec) -> None:
    assert spec.parameters == sum(p.numel() for p in _on_meta(spec).parameters())


def test_parameters_are_the_sizes_on_the_label() -> None:
    """The closed form to the last digit, so that a change on both sides at once cannot hide."""
    assert (SELF_FORCING.parameters, WAN_14B.parameters) == (1_418_996_800, 14_288_491_584)
    assert WAN_14B.weight_bytes == 2 * 14_288_491_584  # bf16
    assert TOY.weight_bytes == 4 * TOY.parameters  # float32


@pytest.mark.parametrize("context", [0, 1, 3])
@pytest.mark.parametrize(
    "spec",
    [TINY_SPEC, variant(patch=(1, 1, 2), heads=3, layers=1, ffn_dim=20, text_length=5), TOY, SELF_FORCING],
    ids=["tiny", "other", "toy", "1.3B"],
)
def test_pass_flops_are_those_torch_counts(spec: ModelSpec, context: int) -> None:
    """Exact, but for what a pass does once, not per token: three matrices of the time embedding."""
    model = CausalWan(_on_meta(spec), spec)
    slot = torch.empty(spec.layers, 2, spec.tokens_per_block, spec.heads, spec.head_dim, device="meta")
    latents = torch.empty(
        spec.latent_channels, spec.frames_per_block, spec.latent_height, spec.latent_width, device="meta"
    )
    text = model.encode_text(torch.empty(spec.text_length, spec.text_dim, device="meta"))
    # torch counts the matrix products of attention, but not of its fused CPU kernel.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run_pass(model, PassInput(latents, 500.0, 0, slot, [Past(slot)] * (context + 1), text))
    time_embedding = 2 * (spec.freq_dim * spec.dim + 7 * spec.dim**2)
    assert counter.get_total_flops() == spec.pass_flops(context) + time_embedding


def test_pass_flops_are_forward_flops_of_a_block() -> None:
    for spec in (TINY_SPEC, SELF_FORCING):
        size = spec.frames_per_block
        assert [spec.pass_flops(n) for n in (0, 3)] == [spec.forward_flops(size, k * size) for k in (1, 4)]
        # Twice the frames take twice the FLOPs where each frame attends to as many.
        assert spec.forward_flops(2 * size, 2 * size) == 2 * spec.forward_flops(size, 2 * size)


def test_flops_of_encoding_a_prompt() -> None:
    """UMT5-XXL's encoder: about 5.7 billion weights, of which 4.6 in its layers; two FLOPs a weight and token."""
    assert SELF_FORCING.text_encoder_parameters == pytest.approx(4.6e9, rel=0.02)
    assert SELF_FORCING.text_flops == 2 * 512 * SELF_FORCING.text_encoder_parameters
    assert SELF_FORCING.text_encoder_bytes == 2 * SELF_FORCING.text_encoder_parameters
    assert (TOY.text_flops, TOY.text_encoder_bytes) == (0, 0)


# -- bytes ---------------------------------------------------------------------------------------


def test_kv_of_published_capacities() -> None:
    """GiB published for LingBot (18 frames; Wan 14B's K/V shapes) and Krea 14B (21 frames), within 2 %."""
    assert 18 * WAN_14B.kv_bytes_per_frame / 2**30 == pytest.approx(21.4, rel=0.02)
    assert 21 * KREA.kv_bytes_per_frame / 2**30 == pytest.approx(25.0, rel=0.02)


@pytest.mark.parametrize(
    ("spec", "layer_mb", "block_gb", "window_gb"),
    [(SELF_FORCING, 28.8, 0.863, 6.04), (WAN_14B, 95.8, 3.83, 26.8)],
    ids=["1.3B", "14B"],
)
def test_kv_of_a_block_and_a_window(spec: ModelSpec, layer_mb: float, block_gb: float, window_gb: float) -> None:
    """bf16, at 832x480, as rounded in Block Cascading's setting: blocks of 3 frames, 21 frames of window."""
    assert spec.kv_bytes_per_block / spec.layers / 1e6 == pytest.approx(layer_mb, rel=0.002)
    assert spec.kv_bytes_per_block / 1e9 == pytest.approx(block_gb, rel=0.002)
    assert spec.kv_bytes_per_frame * spec.window / 1e9 == pytest.approx(window_gb, rel=0.002)


def test_kv_bytes_are_a_slots() -> None:
    slot = torch.empty(TINY_SPEC.layers, 2, TINY_SPEC.tokens_per_block, TINY_SPEC.heads, TINY_SPEC.head_dim)
    assert TINY_SPEC.kv_bytes_per_block == slot.nbytes


def test_small_sizes_by_hand() -> None:
    assert TOY.latent_bytes_per_block == 4 * 16 * 3 * 4 * 4  # float32, channels, frames, height, width
    assert SELF_FORCING.latent_bytes_per_block == 4 * 16 * 3 * 60 * 104  # float32 though the model is bf16
    # Per token in float32: the feed-forward layer's 8960 numbers and four times the 1536 of the residual stream.
    assert SELF_FORCING.activation_bytes == 4680 * (8960 + 4 * 1536) * 4
    # At dim 384 the four projections are wider than a feed-forward layer of 512.
    wide = variant(heads=4, head_dim=96, ffn_dim=512, frames_per_block=1)
    assert wide.activation_bytes == 4 * (4 * 384 + 4 * 384) * 4
    assert TOY.decoder_weight_bytes == 4 * TOY.vae.decoder_parameters
    assert SELF_FORCING.decoder_weight_bytes == 2 * SELF_FORCING.vae.decoder_parameters


def test_the_first_block_decodes_with_fewer_flops() -> None:
    toy = TOY.vae
    assert TOY.decode_flops(0) == toy.decode_flops(3, 4, 4, first=True)
    assert TOY.decode_flops(1) == TOY.decode_flops(9) == toy.decode_flops(3, 4, 4)
    assert TOY.decode_flops(0) < TOY.decode_flops(1)


# -- sampler and frames --------------------------------------------------------------------------


def test_forwards_of_81_frames() -> None:
    """FlashForward (arXiv 2609.32540): 27 blocks of 4 steps; 26 clean passes, or in HiAR a cache pass per step."""
    assert SELF_FORCING.forward_count(27) == 134
    assert SELF_FORCING.forward_count(27, cache_passes=4) == 212


def test_passes_count_the_clean_one() -> None:
    assert (SELF_FORCING.steps, SELF_FORCING.passes) == (4, 5)
    without = variant(clean_pass=False)
    assert (without.steps, without.passes, without.forward_count(7)) == (3, 3, 21)


def test_a_first_block_of_its_own() -> None:
    """Two more steps, and one frame less: 2 steps of noise the others do not have, then the levels that all share."""
    spec = variant(first_block_steps=5, first_block_frames=1)
    assert (spec.steps, spec.passes) == (3, 4)
    assert [spec.block_steps(block) for block in range(3)] == [5, 3, 3]
    assert [spec.block_frames(block) for block in range(3)] == [1, 2, 2]
    assert [spec.stage_at(0, level) for level in range(4)] == [2, 3, 4, 5]
    assert [spec.stage_at(1, level) for level in range(4)] == [0, 1, 2, 3]
    assert spec.forward_count(3) == 5 + 3 + 3 + 2
    assert [spec.pixel_frames(block) for block in range(3)] == [1, 4, 4]
    assert spec.decode_flops(0) == spec.vae.decode_flops(1, 4, 4, first=True)
    assert spec.decode_flops(1) == spec.vae.decode_flops(2, 4, 4)


def test_blocks_are_alike_unless_told_otherwise() -> None:
    assert {TINY_SPEC.block_steps(block) for block in range(3)} == {TINY_SPEC.steps}
    assert {TINY_SPEC.block_frames(block) for block in range(3)} == {TINY_SPEC.frames_per_block}
    assert [TINY_SPEC.stage_at(0, level) for level in range(4)] == [0, 1, 2, 3]
    assert TINY_SPEC.forward_count(0) == 0


def test_sigmas_of_the_warped_schedule() -> None:
    """1000, 937.5, 833.3, 625 at shift 5 (Self-Forcing); Krea's list is that one already."""
    assert [1000 * sigma for sigma in SELF_FORCING.sigmas] == pytest.approx([1000, 937.5, 2500 / 3, 625])
    assert KREA.sigmas == (1.0, 0.937, 0.833, 0.625)


def test_pixel_frames() -> None:
    """A stream's first 3-frame block gives 9 pixel frames, the rest 12."""
    assert [SELF_FORCING.pixel_frames(block) for block in range(3)] == [9, 12, 12]
    assert [TINY_SPEC.pixel_frames(block) for block in range(3)] == [3, 4, 4]  # temporal stride 2


def test_shapes_of_832x480() -> None:
    assert (SELF_FORCING.pixel_width, SELF_FORCING.pixel_height) == (832, 480)
    assert (SELF_FORCING.dim, SELF_FORCING.tokens_per_frame, SELF_FORCING.tokens_per_block) == (1536, 1560, 4680)


# -- context -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "block", "context"),
    [
        (SELF_FORCING, 0, ()),
        (SELF_FORCING, 3, (0, 1, 2)),
        (SELF_FORCING, 6, (0, 1, 2, 3, 4, 5)),
        (SELF_FORCING, 7, (1, 2, 3, 4, 5, 6)),
        (SELF_FORCING, 20, (14, 15, 16, 17, 18, 19)),
        (LONGLIVE, 0, ()),
        (LONGLIVE, 1, (0,)),
        (LONGLIVE, 3, (0, 1, 2)),
        (LONGLIVE, 4, (0, 2, 3)),
        (LONGLIVE, 20, (0, 18, 19)),
        (TOY, 2, (0, 1)),
        (TOY, 4, (0, 2, 3)),
        (KREA, 9, (8,)),
        (variant(window=2, sink=0), 9, ()),
    ],
)
def test_context_by_hand(spec: ModelSpec, block: int, context: tuple[int, ...]) -> None:
    assert spec.context_blocks(block) == context


@given(specs(), blocks)
def test_context_is_the_sink_and_as_much_of_the_window_as_there_is(spec: ModelSpec, block: int) -> None:
    context = spec.context_blocks(block)
    assert list(context) == sorted(set(context))
    assert all(0 <= earlier < block for earlier in context)
    assert len(context) + 1 == min(block + 1, spec.window // spec.frames_per_block)
    sink = {earlier for earlier in range(spec.sink // spec.frames_per_block) if earlier < block}
    assert sink <= set(context)
    newest_first = sorted(set(context) - sink, reverse=True)
    assert newest_first == list(range(block - 1, block - 1 - len(newest_first), -1))


@pytest.mark.parametrize(
    ("spec", "block", "shift"),
    [
        (TOY, 0, 0),
        (TOY, 2, 0),
        (TOY, 3, 0),  # reads blocks 0, 1 and 2: the sink sits before block 1 by itself
        (TOY, 4, 3),  # reads blocks 0, 2 and 3: the sink's frames 0..2 move to 3..5
        (TOY, 10, 21),
        (LONGLIVE, 10, 0),
        (variant(window=8, sink=4), 5, 4),  # two blocks of sink: frames 0..3 move to 4..7, before blocks 4 and 5
        (variant(window=6, sink=0), 5, 0),
    ],
)
def test_sink_shift_by_hand(spec: ModelSpec, block: int, shift: int) -> None:
    assert spec.sink_shift(block) == shift


@given(specs(), blocks)
def test_sink_shift_puts_the_sink_just_before_the_window(spec: ModelSpec, block: int) -> None:
    sliding = [b for b in spec.context_blocks(block) if b * spec.frames_per_block >= spec.sink]
    assume(sliding)
    if spec.relative_sink and spec.sink:
        assert spec.sink_shift(block) + spec.sink == sliding[0] * spec.frames_per_block
    else:
        assert spec.sink_shift(block) == 0


def test_sink_moves_to_the_block_itself_where_nothing_lies_between() -> None:
    """Window: two blocks of sink and the block itself, frames 10 and 11; the sink's frames 0..3 move to 6..9."""
    assert variant(window=6, sink=4).sink_shift(5) == 6


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patch": (2, 2, 2)}, "patch: a temporal patch"),
        ({"patch": (1, 3, 2)}, r"patch: \(3, 2\) does not divide 4x4"),
        ({"patch": (1, 2, 3)}, r"patch: \(2, 3\) does not divide 4x4"),
        ({"window": 7}, "window, sink: must be whole blocks of 2"),
        ({"sink": 1}, "window, sink: must be whole blocks of 2"),
        ({"window": 2, "sink": 2}, "window: too small"),
        ({"timesteps": (500, 750)}, "timesteps: must fall"),
        ({"timesteps": (500, 500)}, "timesteps: must fall"),
        ({"timesteps": (1001, 500)}, "timesteps: must fall"),
        ({"timesteps": (1000, 0)}, "timesteps: must fall"),
        ({"timesteps": ()}, "timesteps"),
        ({"sink": -2}, "sink"),
        ({"layers": 0}, "layers"),
        ({"shift": 0}, "shift"),
        ({"context_timestep": 1001}, "context_timestep"),
        ({"tolerates": ()}, "tolerates"),
        ({"name": ""}, "name"),
        ({"first_block_frames": 0}, "first_block_frames"),
        ({"first_block_steps": 2}, "first_block_steps: the first block takes at least the others' 3 steps"),
        ({"text_encoder_parameters": -1}, "text_encoder_parameters"),
        ({"frame_rate": 0}, "frame_rate"),
        ({"widnow": 6}, "widnow"),
    ],
)
def test_contradictions_are_refused_by_field(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        variant(**changes)


def test_a_spec_is_frozen_and_round_trips_through_json() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TINY_SPEC.window = 8  # type: ignore[misc]
    assert ModelSpec.model_validate_json(TINY_SPEC.model_dump_json()) == TINY_SPEC
