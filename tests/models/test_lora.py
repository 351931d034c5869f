"""A LoRA is merged as W + alpha / r B A in float32, whatever its names, or refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from models.blank import wan_shapes
from models.checkpoint import load_wan
from models.errors import CheckpointError
from models.lora import Lora, open_lora
from tests.models.forged import table, tensor, write_torch
from tests.models.layouts import LAYER, LINEARS, Table, in_wan_names, known, names, prefixed, wrapped
from tests.tiny import TINY_SPEC

RANK = 4
SHAPES = wan_shapes(TINY_SPEC)
LAYERS = [f"blocks.{at}.{linear}" for at in range(2) for linear in LINEARS]


def _pairs(seed: int = 0) -> dict[str, tuple[Tensor, Tensor]]:
    """(A [r, in], B [out, r]) of every linear layer of the blocks, by Wan's name for it."""
    generator = torch.Generator().manual_seed(seed)
    weights = in_wan_names(known())
    made = {}
    for layer in LAYERS:
        out, into = weights[f"{layer}.weight"].shape
        made[layer] = torch.randn(RANK, into, generator=generator), torch.randn(out, RANK, generator=generator)
    return made


PAIRS = _pairs()


def _named(first: str, second: str, *, prefix: str = "") -> Table:
    return {
        f"{prefix}{layer}.{part}": value
        for layer, pair in PAIRS.items()
        for part, value in zip((first, second), pair, strict=True)
    }


PEFT = _named("lora_A.weight", "lora_B.weight", prefix="base_model.model.")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The known transformer, as LongLive keeps its base."""
    torch.save({"generator": prefixed("model.", in_wan_names(known()))}, tmp_path / "longlive_base.pt")
    return tmp_path / "longlive_base.pt"


def _require_merged(found: dict[str, Tensor], scale: float) -> None:
    """By hand: each linear layer of the blocks is changed, nothing else is."""
    ours = names(2)
    for wan, before in in_wan_names(known()).items():
        layer = wan.removesuffix(".weight")
        if layer in PAIRS:
            down, up = PAIRS[layer]
            assert torch.equal(found[ours[wan]], before + (up @ down) * scale)
            assert not torch.equal(found[ours[wan]], before)
        else:
            assert torch.equal(found[ours[wan]], before)


def _loaded(base: Path, lora: Path, alpha: float | None = None) -> dict[str, Tensor]:
    state: dict[str, Tensor] = load_wan(base, TINY_SPEC, lora=lora, lora_alpha=alpha).transformer.state_dict()
    return state


# -- what is merged ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names_given",
    [
        PEFT,
        _named("lora_A.weight", "lora_B.weight"),
        _named("lora_A.default.weight", "lora_B.default.weight", prefix="base_model.model."),
        _named("lora_A.default.weight", "lora_B.default.weight", prefix="base_model.model.model."),
        _named("lora_A", "lora_B"),
        _named("lora_down.weight", "lora_up.weight", prefix="diffusion_model."),
        wrapped(PEFT),
    ],
    ids=["peft", "bare", "named adapter", "wrapper", "short", "single file", "fsdp"],
)
@pytest.mark.parametrize("told", ["generator_lora", "bare", "safetensors"])
def test_a_published_form_is_merged(names_given: Table, told: str, base: Path) -> None:
    lora = base.parent / ("lora.safetensors" if told == "safetensors" else "lora.pt")
    if told == "safetensors":
        save_file(names_given, lora)
    else:
        critic = {"critic_lora": {"anything.at.all": torch.ones(2)}}
        torch.save({"generator_lora": names_given} | critic if told == "generator_lora" else names_given, lora)
    _require_merged(_loaded(base, lora), 1.0)


def test_names_of_diffusers_are_merged(base: Path) -> None:
    ours = {wan: name for wan, name in names(2).items() if wan.removesuffix(".weight") in PAIRS}
    given_names = {
        f"transformer.{ours[f'{layer}.weight'].removesuffix('.weight')}.{part}": value
        for layer, pair in PAIRS.items()
        for part, value in zip(("lora_A.weight", "lora_B.weight"), pair, strict=True)
    }
    save_file(given_names, base.parent / "lora.safetensors")
    _require_merged(_loaded(base, base.parent / "lora.safetensors"), 1.0)


def test_alpha_is_the_callers_then_the_files_then_the_configurations_then_the_rank(base: Path) -> None:
    folder = base.parent / "adapter"
    folder.mkdir()
    save_file(PEFT, folder / "adapter_model.safetensors")
    _require_merged(_loaded(base, folder), 1.0)
    (folder / "adapter_config.json").write_text(json.dumps({"r": RANK, "lora_alpha": 2}))
    _require_merged(_loaded(base, folder), 0.5)
    own = PEFT | {f"base_model.model.{layer}.alpha": torch.tensor(12.0) for layer in LAYERS}
    save_file(own, folder / "adapter_model.safetensors")
    _require_merged(_loaded(base, folder), 3.0)
    _require_merged(_loaded(base, folder, alpha=1.0), 0.25)
    (folder / "adapter_config.json").write_text(json.dumps({"r": RANK, "lora_alpha": 3, "use_rslora": True}))
    save_file(PEFT, folder / "adapter_model.safetensors")
    _require_merged(_loaded(base, folder), 3 / math.sqrt(RANK))


def test_the_sum_is_made_in_float32_and_rounded_once(base: Path) -> None:
    """In bfloat16 a change of a thousandth of a weight would be lost."""
    half = {name: value.bfloat16() for name, value in in_wan_names(known()).items()}
    save_file(half, base.parent / "half.safetensors")
    save_file(PEFT, base.parent / "lora.safetensors")
    lora = base.parent / "lora.safetensors"
    state = load_wan(base.parent / "half.safetensors", TINY_SPEC, torch.bfloat16, lora=lora).transformer.state_dict()
    whole = load_wan(base, TINY_SPEC, torch.bfloat16, lora=lora).transformer.state_dict()
    for layer, (down, up) in PAIRS.items():
        name, at_half, before = names(2)[f"{layer}.weight"], half[f"{layer}.weight"].float(), in_wan_names(known())
        assert torch.equal(state[name], (at_half + up @ down).bfloat16())
        assert torch.equal(whole[name], (before[f"{layer}.weight"] + up @ down).bfloat16())
    assert not torch.equal(whole[name], state[name])


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sets(st.sampled_from(LAYERS), min_size=1), st.floats(0.25, 64))
def test_only_the_layers_named_change(tmp_path: Path, layers: set[str], alpha: float) -> None:
    chosen = {name: value for name, value in PEFT.items() if any(f".{layer}.lora" in name for layer in layers)}
    save_file(chosen, tmp_path / "lora.safetensors")
    lora = open_lora(tmp_path / "lora.safetensors", SHAPES, alpha)
    ours = names(2)
    assert lora.layers.keys() == {ours[f"{layer}.weight"] for layer in layers}
    for layer in LAYERS:
        before = in_wan_names(known())[f"{layer}.weight"]
        down, up = PAIRS[layer]
        wanted = before + (up @ down) * (alpha / RANK) if layer in layers else before
        assert torch.equal(lora.merged(ours[f"{layer}.weight"], before), wanted)


# -- what is refused -----------------------------------------------------------------------------


def _refusal(tensors: Table, path: Path) -> str:
    save_file(tensors, path)
    with pytest.raises(CheckpointError) as caught:
        open_lora(path, SHAPES)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


FIRST = "blocks.0.self_attn.q"
DOWN, UP = f"{FIRST}.lora_A.weight", f"{FIRST}.lora_B.weight"


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({DOWN: torch.ones(4, 24)}, "blocks.0.attn1.to_q.weight has only down"),
        ({UP: torch.ones(24, 4)}, "blocks.0.attn1.to_q.weight has only up"),
        (
            {DOWN: torch.ones(4, 25), UP: torch.ones(24, 4)},
            "blocks.0.attn1.to_q.weight [24, 24] from [24, 4] times [4, 25]",
        ),
        ({DOWN: torch.ones(4, 24), UP: torch.ones(24, 3)}, "[24, 24] from [24, 3] times [4, 24]"),
        ({DOWN: torch.ones(24), UP: torch.ones(24)}, "[24, 24] from [24] times [24]"),
        ({DOWN: torch.ones(25, 24), UP: torch.ones(24, 25)}, "[24, 24] at rank 25"),
        (
            {DOWN: torch.ones(4, 24), UP: torch.ones(24, 4), f"{FIRST}.alpha": torch.ones(3)},
            "blocks.0.attn1.to_q.weight has 3 alphas",
        ),
        (
            {"blocks.7.ffn.0.lora_A.weight": torch.ones(4, 24), "blocks.7.ffn.0.lora_B.weight": torch.ones(32, 4)},
            "the model has no blocks.7.ffn.net.0.proj.weight",
        ),
        ({f"{FIRST}.lora_B.bias": torch.ones(24)}, "self_attn.q.lora_B.bias is of no LoRA known here"),
        ({f"{FIRST}.lora_magnitude_vector": torch.ones(24)}, "is of no LoRA known here"),
        ({f"{FIRST}.diff": torch.ones(24, 24)}, "is of no LoRA known here"),
        ({f"{FIRST}.weight": torch.ones(24, 24)}, "is of no LoRA known here"),
        ({"critic_lora.x": torch.ones(24)}, "it holds no generator's"),
        (
            {DOWN: torch.ones(4, 24), f"base_model.{DOWN}": torch.ones(4, 24)},
            "holds down of blocks.0.attn1.to_q twice",
        ),
    ],
)
def test_a_lora_that_does_not_fit_is_refused_by_name(tensors: Table, words: str, tmp_path: Path) -> None:
    assert words in _refusal(tensors, tmp_path / "lora.safetensors")


def test_a_lora_of_another_model_is_cut_short(tmp_path: Path) -> None:
    wide = {name: torch.ones(*(2 * side for side in value.shape)) for name, value in PEFT.items()}
    message = _refusal(wide, tmp_path / "lora.safetensors")
    assert message.count(" times ") == 5
    assert "and 15 more" in message
    assert len(LAYERS) == 20 == 2 * (len(LAYER) - 1)


def test_a_forged_rank_is_refused_before_it_is_read(tmp_path: Path) -> None:
    huge = {DOWN: tensor((10**9, 24), (0, 1), there=24), UP: tensor((24, 10**9), (0, 0), there=24)}
    write_torch(tmp_path / "lora.pt", table(huge), numbers_held=24)
    with pytest.raises(CheckpointError, match="of fewer numbers than that"):
        open_lora(tmp_path / "lora.pt", SHAPES)


@pytest.mark.parametrize("change", [{"lora_alpha": None}, {"alpha_pattern": {"q": 3}}, {"use_dora": True}])
def test_a_configuration_beyond_this_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    save_file(PEFT, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": RANK, "lora_alpha": 4} | change))
    with pytest.raises(CheckpointError, match="only one lora_alpha for all layers"):
        open_lora(tmp_path, SHAPES)


def test_an_alpha_that_is_no_number_is_refused(tmp_path: Path) -> None:
    own = {DOWN: torch.ones(4, 24), UP: torch.ones(24, 4), f"{FIRST}.alpha": torch.tensor(float("nan"))}
    save_file(own, tmp_path / "lora.safetensors")
    lora: Lora = open_lora(tmp_path / "lora.safetensors", SHAPES)
    with pytest.raises(CheckpointError, match=r"self_attn\.q\.alpha is nan; give one"):
        lora.merged("blocks.0.attn1.to_q.weight", torch.zeros(24, 24))
