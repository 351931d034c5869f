"""A checkpoint is loaded whole or refused by name.

Claims: what is saved loads to the same numbers; anything missing, damaged or of another model is a CheckpointError
that names it; a pickle is never opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.checkpoint import CONFIG, WEIGHTS, load_vae, load_wan, save, wan_config
from models.errors import CheckpointError
from models.generate import generate
from models.spec import ModelSpec
from models.vae import WanCodec
from models.weights import fresh
from tests.models.variants import same, text, tiny, variant
from tests.tiny import TINY_SPEC, embed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tiny transformer, saved."""
    save(tiny().wan.transformer, wan_config(TINY_SPEC), tmp_path / "tiny", torch.float32)
    return tmp_path / "tiny"


def _tiny_vae() -> AutoencoderKLWan:
    codec = tiny().vae
    assert isinstance(codec, WanCodec)
    return codec.vae


def _change_weights(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)


def _change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | changes))


def _refusal(folder: Path, spec: ModelSpec = TINY_SPEC) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_wan(folder, spec)
    assert str(folder) in str(caught.value)
    return str(caught.value)


# -- what is loaded ------------------------------------------------------------------------------


def test_a_transformer_round_trips(folder: Path) -> None:
    model = load_wan(folder, TINY_SPEC)
    wanted = tiny().wan.transformer.state_dict()
    found = model.transformer.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    assert not model.transformer.training
    assert not any(p.requires_grad for p in model.parameters())
    video = generate(model, model.encode_text(embed("a prompt")), blocks=3, seed=0)
    assert same(video, generate(tiny().wan, text(), blocks=3, seed=0))


def test_an_autoencoder_round_trips(tmp_path: Path) -> None:
    vae = _tiny_vae()
    save(vae, dict(vae.config), tmp_path / "vae", torch.float32)
    latents = torch.randn((4, 2, 4, 4), generator=torch.Generator().manual_seed(0))
    found, wanted = (WanCodec(v).decoder().decode(latents) for v in (load_vae(tmp_path / "vae"), vae))
    assert torch.equal(found, wanted)


def test_weights_take_the_asked_type_on_disk_and_in_memory(folder: Path, tmp_path: Path) -> None:
    assert load_wan(folder, TINY_SPEC, torch.bfloat16).dtype == torch.bfloat16
    save(tiny().wan.transformer, wan_config(TINY_SPEC), tmp_path / "half", torch.float16)
    assert {value.dtype for value in load_file(tmp_path / "half" / WEIGHTS).values()} == {torch.float16}
    model = load_wan(tmp_path / "half", TINY_SPEC)
    assert model.dtype == torch.float32
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_what_a_config_holds_beyond_the_spec_is_let_be(folder: Path) -> None:
    """diffusers writes its version and defaults there."""
    _change_config(folder, _class_name="WanTransformer3DModel", _diffusers_version="0.42.0", eps=1e-6)
    load_wan(folder, TINY_SPEC)


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ffn_dim": 64}, "ffn_dim is 64, tiny has 32"),
        ({"num_layers": 3}, "num_layers is 3, tiny has 2"),
        ({"patch_size": [1, 1, 1]}, "patch_size is (1, 1, 1), tiny has (1, 2, 2)"),
        ({"text_dim": None}, "text_dim is None, tiny has 8"),
    ],
)
def test_a_config_of_another_model_is_refused(folder: Path, change: dict[str, Any], words: str) -> None:
    _change_config(folder, **change)
    message = _refusal(folder)
    assert words in message
    assert CONFIG in message


def test_a_config_that_lacks_a_key_is_refused(folder: Path) -> None:
    (folder / CONFIG).write_text("{}")
    assert "patch_size is None" in _refusal(folder)


@pytest.mark.parametrize("content", ["not json", "[1, 2]", "", "\x00\xff"])
def test_a_config_that_is_no_json_object_is_refused(folder: Path, content: str) -> None:
    (folder / CONFIG).write_bytes(content.encode("latin-1"))
    assert "JSON" in _refusal(folder)


def test_a_folder_that_is_not_there_is_refused_with_what_it_should_hold(tmp_path: Path) -> None:
    message = _refusal(tmp_path / "nowhere")
    assert f"no such file; expected a folder with {CONFIG} and {WEIGHTS}, or a weight file" in message


def test_missing_weights_are_refused(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    assert f"{WEIGHTS}: no such file, and of other weight files none is there" in _refusal(folder)


def test_missing_keys_are_named(folder: Path) -> None:
    _change_weights(folder, lambda weights: weights.pop("proj_out.bias"))
    assert "1 missing: proj_out.bias" in _refusal(folder)


def test_unexpected_keys_are_named(folder: Path) -> None:
    _change_weights(folder, lambda weights: weights.update({"blocks.0.extra": torch.zeros(2)}))
    assert "1 unexpected: blocks.0.extra" in _refusal(folder)


def test_misshapen_keys_are_named_with_both_shapes(folder: Path) -> None:
    _change_weights(folder, lambda weights: weights.update({"proj_out.bias": torch.zeros(7)}))
    assert "1 misshapen: proj_out.bias [7] instead of [16]" in _refusal(folder)


def test_every_sort_of_damage_is_told_at_once_and_long_lists_cut(folder: Path) -> None:
    def rename(weights: dict[str, Tensor]) -> None:
        for key in [key for key in weights if key.startswith("blocks.0.")]:
            weights["odd." + key] = weights.pop(key)
        weights["proj_out.bias"] = torch.zeros(7)

    _change_weights(folder, rename)
    message = _refusal(folder)
    assert all(sort in message for sort in ("27 missing: ", "27 unexpected: odd.blocks.0.", "1 misshapen: "))
    assert message.count("odd.blocks.0.") == 5
    assert message.count(", ...") == 2


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_a_truncated_file_is_refused(folder: Path, kept: int) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:kept])
    assert "damaged or not a safetensors file" in _refusal(folder)


class _OpenedError(RuntimeError):
    """Raised by the pickle below when it is opened."""


def _raise() -> None:
    raise _OpenedError


class _Trap:
    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _raise, ()


def test_a_pickle_by_that_name_is_refused_unopened(folder: Path) -> None:
    pickled = folder / "stranger.pt"
    torch.save({"weights": _Trap()}, pickled)
    with pytest.raises(_OpenedError):
        torch.load(pickled, weights_only=False)
    pickled.replace(folder / WEIGHTS)
    assert "not a safetensors file" in _refusal(folder)


def test_an_autoencoder_is_refused_the_same_way(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load_vae(tmp_path / "nowhere")
    (folder / CONFIG).write_text(json.dumps(dict(_tiny_vae().config)))
    with pytest.raises(CheckpointError, match=r"does not fit the model: .* missing"):
        load_vae(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"num_res_blocks": 10**9},
        {"num_res_blocks": -1},
        {"dim_mult": [1] * 100},
        {"dim_mult": "wide"},
        {"dim_mult": 3},
        {"base_dim": 10**12},
        {"base_dim": "wide"},
        {"temperal_downsample": []},
        {"decoder_base_dim": 10**10},
    ],
)
def test_an_autoencoder_of_a_forged_size_is_never_built(change: dict[str, Any], tmp_path: Path) -> None:
    vae = _tiny_vae()
    save(vae, dict(vae.config), tmp_path, torch.float32)
    _change_config(tmp_path, **change)
    with pytest.raises(CheckpointError, match=r"does not (describe an AutoencoderKLWan|fit the model)"):
        load_vae(tmp_path)


def test_what_an_autoencoders_config_holds_beyond_its_shapes_is_let_be(tmp_path: Path) -> None:
    vae = _tiny_vae()
    save(vae, dict(vae.config) | {"_class_name": "AutoencoderKLWan", "clip_output": False}, tmp_path, torch.float32)
    assert load_vae(tmp_path, torch.bfloat16).dtype == torch.bfloat16


def test_quantised_weights_are_refused(folder: Path) -> None:
    _change_weights(folder, lambda weights: weights.update({"proj_out.bias": torch.zeros(16, dtype=torch.int8)}))
    assert "proj_out.bias is torch.int8; quantised weights are not run" in _refusal(folder)


def test_no_weight_is_read_before_all_are_known_to_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Tensor] = []

    def counted(stored: Tensor, dtype: torch.dtype | None, device: torch.device | str) -> Tensor:
        read.append(stored)
        return fresh(stored, dtype, device)

    monkeypatch.setattr("models.checkpoint.fresh", counted)
    load_wan(folder, TINY_SPEC)
    assert len(read) == len(tiny().wan.transformer.state_dict())
    read.clear()
    _change_weights(folder, lambda weights: weights.update({"proj_out.bias": torch.zeros(7)}))
    _refusal(folder)
    assert not read


def test_a_transformer_of_another_shape_is_refused(folder: Path) -> None:
    assert "num_attention_heads is 2" in _refusal(folder, variant(heads=4))
