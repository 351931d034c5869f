"""Running block by block over slots changes where the numbers lie, not what they are.

Claims: a single block is diffusers' own forward; blocks at mixed noise levels that read earlier blocks' slots equal
one masked forward over the clip; a moved sink equals a sink computed at the place it moves to; a pass writes its own
slot whole, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from models.checkpoint import wan_config
from models.forward import PassInput, Past, run_pass
from models.layer import TextView
from models.masked import MaskedAttention, masked_forward
from models.spec import ModelSpec
from models.wan import CausalWan
from tests.models.variants import text, tiny, variant, wan_for
from tests.tiny import TINY_SPEC, embed

OTHER = variant(patch=(1, 1, 2), heads=3, head_dim=14, layers=3, frames_per_block=1, window=4, sink=0)
close = partial(torch.testing.assert_close, atol=2e-5, rtol=0)


def _latents(spec: ModelSpec, count: int) -> Tensor:
    """[K, C, T, h, w], the same every time."""
    shape = (count, spec.latent_channels, spec.frames_per_block, spec.latent_height, spec.latent_width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(count))


def _slots(spec: ModelSpec, count: int) -> Tensor:
    """Slots full of NaN: a place that is read before it is written spoils the result."""
    return torch.full((count, spec.layers, 2, spec.tokens_per_block, spec.heads, spec.head_dim), float("nan"))


def _run(
    model: CausalWan,
    latents_CThw: Tensor,
    timestep: float,
    start_frame: int,
    past: Sequence[Past],
    own: Tensor,
    views: Sequence[TextView],
) -> Tensor:
    """One pass that reads what is past, then itself."""
    return run_pass(model, PassInput(latents_CThw, timestep, start_frame, own, [*past, Past(own)], views))


def _transformers(spec: ModelSpec) -> tuple[WanTransformer3DModel, WanTransformer3DModel]:
    """Two with the same random weights, as setting an attention processor marks one for good."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = WanTransformer3DModel(**wan_config(spec)).eval().requires_grad_(False)
    second = WanTransformer3DModel(**wan_config(spec)).eval().requires_grad_(False)
    second.load_state_dict(first.state_dict())
    return first, second


def _block_by_block(
    model: CausalWan, latents_KCThw: Tensor, timesteps: Sequence[float], views: Sequence[TextView]
) -> tuple[Tensor, Tensor]:
    """Flow of every block, each reading all earlier ones, and the slots they leave."""
    slots = _slots(model.spec, len(latents_KCThw))
    flows = [
        _run(model, latents, t, i * model.spec.frames_per_block, [Past(slot) for slot in slots[:i]], slots[i], views)
        for i, (latents, t) in enumerate(zip(latents_KCThw, timesteps, strict=True))
    ]
    return torch.stack(flows), slots


@pytest.mark.parametrize("spec", [TINY_SPEC, OTHER], ids=["tiny", "other"])
@pytest.mark.parametrize("timestep", [1000.0, 937.5, 0.0])
def test_one_block_is_diffusers_forward(spec: ModelSpec, timestep: float) -> None:
    theirs, ours = _transformers(spec)
    (latents,) = _latents(spec, 1)
    prompt = embed("a prompt")
    wanted = theirs(latents[None], torch.tensor([timestep]), prompt[None], return_dict=False)[0][0]
    model = CausalWan(ours, spec)
    found = _run(model, latents, timestep, 0, [], _slots(spec, 1)[0], model.encode_text(prompt))
    assert wanted.std() > 0.1
    close(found, wanted)


@pytest.mark.parametrize("spec", [TINY_SPEC, OTHER], ids=["tiny", "other"])
@pytest.mark.parametrize(
    "timesteps",
    [(1000.0, 1000.0, 1000.0, 1000.0), (0.0, 0.0, 0.0, 625.0), (0.0, 625.0, 833.3, 1000.0), (500.0, 1000.0, 0.0, 2.5)],
)
def test_block_by_block_is_one_masked_forward(spec: ModelSpec, timesteps: tuple[float, ...]) -> None:
    whole, cached = _transformers(spec)
    whole.set_attn_processor(MaskedAttention())
    latents, prompt = _latents(spec, 4), embed("a prompt")
    (wanted,) = masked_forward(whole, spec, latents[None], torch.tensor([timesteps]), prompt[None])
    model = CausalWan(cached, spec)
    found, _ = _block_by_block(model, latents, timesteps, model.encode_text(prompt))
    close(found, wanted)


def test_a_moved_sink_is_a_sink_computed_where_it_moves_to() -> None:
    """Its hidden states hold distances only, so its slot at frame 6 is its slot at frame 0 with keys turned."""
    model, (sink, latents) = wan_for(TINY_SPEC), _latents(TINY_SPEC, 2)
    at_start, moved, own = _slots(TINY_SPEC, 3)
    _run(model, sink, 0.0, 0, [], at_start, text())
    _run(model, sink, 0.0, 6, [], moved, text())
    close(moved[:, 1], at_start[:, 1])
    assert (moved[:, 0] - at_start[:, 0]).abs().max() > 0.1
    wanted = _run(model, latents, 750.0, 8, [Past(moved)], own, text())
    close(_run(model, latents, 750.0, 8, [Past(at_start, 6)], own, text()), wanted)
    unmoved = _run(model, latents, 750.0, 8, [Past(at_start)], own, text())
    assert (unmoved - wanted).abs().max() > 1e-3


def test_each_past_moves_by_its_own_shift() -> None:
    """Two moved with the block, or only the one that lies elsewhere moved back, in either order: all the same."""
    model, (first, second, latents) = wan_for(TINY_SPEC), _latents(TINY_SPEC, 3)
    a, b, elsewhere, own = _slots(TINY_SPEC, 4)
    _run(model, first, 0.0, 0, [], a, text())
    _run(model, first, 0.0, 6, [], elsewhere, text())
    _run(model, second, 0.0, 2, [], b, text())
    wanted = _run(model, latents, 750.0, 4, [Past(a), Past(b)], own, text())
    close(_run(model, latents, 750.0, 14, [Past(a, 10), Past(b, 10)], own, text()), wanted)
    for past in ([Past(elsewhere, -6), Past(b)], [Past(b), Past(elsewhere, -6)]):
        close(_run(model, latents, 750.0, 4, past, own, text()), wanted)
    close(_run(model, latents, 750.0, 9, [Past(elsewhere, -1), Past(b, 5)], own, text()), wanted)
    assert (_run(model, latents, 750.0, 14, [Past(a), Past(b, 10)], own, text()) - wanted).abs().max() > 1e-3


def test_a_pass_writes_its_own_slot_whole_and_reads_the_others_only() -> None:
    model, latents = wan_for(TINY_SPEC), _latents(TINY_SPEC, 2)
    past, own = _slots(TINY_SPEC, 2)
    _run(model, latents[0], 0.0, 0, [], past, text())
    before = past.clone()
    _run(model, latents[1], 500.0, 2, [Past(past, 2)], own, text())
    assert torch.equal(past, before)
    assert own.isfinite().all()
    assert (own[:, 0] - own[:, 1]).abs().amax((1, 2, 3)).min() > 0.1


def test_keys_are_stored_turned_and_values_not() -> None:
    """The first layer's K and V know the position by the turn only, so the same block later has the same V."""
    model, (latents,) = wan_for(TINY_SPEC), _latents(TINY_SPEC, 1)
    early, late = _slots(TINY_SPEC, 2)
    _run(model, latents, 500.0, 0, [], early, text())
    _run(model, latents, 500.0, 1500, [], late, text())  # beyond diffusers' table
    assert torch.equal(early[0, 1], late[0, 1])
    assert (early[0, 0] - late[0, 0]).abs().max() > 0.1
    torch.testing.assert_close(early[0, 0].norm(dim=-1), late[0, 0].norm(dim=-1))


def test_nothing_is_remembered_between_passes() -> None:
    model, (latents, other) = wan_for(TINY_SPEC), _latents(TINY_SPEC, 2)
    own, spare = _slots(TINY_SPEC, 2)
    first = _run(model, latents, 500.0, 4, [], own, text())
    _run(model, other, 1000.0, 0, [Past(own)], spare, text("another"))
    assert torch.equal(_run(model, latents, 500.0, 4, [], own, text()), first)


def test_text_is_one_view_a_layer() -> None:
    views = text()
    shape = (TINY_SPEC.text_length, TINY_SPEC.heads, TINY_SPEC.head_dim)
    assert [(view.key_LHE.shape, view.value_LHE.shape) for view in views] == [(shape, shape)] * TINY_SPEC.layers
    assert not torch.equal(views[0].key_LHE, views[1].key_LHE)


def test_the_prompt_steers_every_layer() -> None:
    model, (latents,) = wan_for(TINY_SPEC), _latents(TINY_SPEC, 1)
    (own,) = _slots(TINY_SPEC, 1)
    one, other = text("one"), text("other")
    flows = [
        _run(model, latents, 500.0, 0, [], own, views) for views in [one, other, (one[0], other[1]), (other[0], one[1])]
    ]
    assert all((a - b).abs().max() > 1e-4 for i, a in enumerate(flows) for b in flows[:i])


def test_flow_has_the_latents_shape_and_says_where_it_lives() -> None:
    model, (latents,) = wan_for(TINY_SPEC), _latents(TINY_SPEC, 1)
    assert _run(model, latents, 500.0, 0, [], _slots(TINY_SPEC, 1)[0], text()).shape == latents.shape
    assert (model.device, model.dtype) == (torch.device("cpu"), torch.float32)
    assert model.transformer is tiny().wan.transformer
