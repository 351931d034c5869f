"""Each published layout of a known transformer's weights loads to that transformer, bit for bit.

By hand: the names (`tests/models/layouts.py`). Claims besides: the moving average is taken unless asked otherwise; any
nesting of the known prefixes and wrappers is read; discriminator heads are dropped; image-to-video is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from models.catalog import load_spec
from models.checkpoint import CONFIG, WEIGHTS, load_wan, open_model, save, wan_config
from models.errors import CheckpointError
from models.wan_keys import PREFIXES, WRAPPERS, bare_name, wan_names
from tests.models.layouts import in_wan_names, known, names, prefixed, same, wrapped
from tests.models.variants import variant
from tests.tiny import TINY_SPEC

ONE, OTHER = known(0), known(1)
WAN_CONFIG = dict(
    model_type="t2v", dim=24, num_heads=2, num_layers=2, ffn_dim=32, freq_dim=16, in_dim=4, out_dim=4, text_len=3
)


def _self_forcing(folder: Path) -> Path:
    tables = {
        "generator": prefixed("model.", in_wan_names(OTHER)),
        "generator_ema": wrapped(in_wan_names(ONE)),
        "critic": prefixed("model.", in_wan_names(OTHER)),
        "step": 600,
    }
    torch.save(tables, folder / "self_forcing_dmd.pt")
    return folder / "self_forcing_dmd.pt"


def _causvid(folder: Path) -> Path:
    torch.save({"generator": prefixed("model.", in_wan_names(ONE))}, folder / "model.pt")
    return folder


def _causal_forcing(folder: Path) -> Path:
    torch.save({"generator": prefixed("model._fsdp_wrapped_module.", in_wan_names(ONE))}, folder / "causal_forcing.pt")
    return folder / "causal_forcing.pt"


def _rolling_forcing(folder: Path) -> Path:
    torch.save({"generator_ema": wrapped(in_wan_names(ONE))}, folder / "rolling_forcing_dmd.pt")
    return folder / "rolling_forcing_dmd.pt"


def _longlive(folder: Path) -> Path:
    torch.save({"model": in_wan_names(ONE)}, folder / "longlive_base.pt")
    return folder / "longlive_base.pt"


def _stream_diffusion(folder: Path) -> Path:
    torch.save({"state_dict": in_wan_names(ONE)}, folder / "model.pt")
    return folder


def _krea(folder: Path) -> Path:
    save_file(prefixed("model.", in_wan_names(ONE)), folder / "krea-realtime-video-14b.safetensors")
    return folder / "krea-realtime-video-14b.safetensors"


def _wan(folder: Path) -> Path:
    save_file(in_wan_names(ONE), folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(WAN_CONFIG))
    torch.save({"decoder": torch.zeros(1)}, folder / "Wan2.1_VAE.pth")
    return folder


def _single_file(folder: Path) -> Path:
    save_file(prefixed("model.diffusion_model.", in_wan_names(ONE)), folder / "wan.safetensors")
    return folder / "wan.safetensors"


def _bare(folder: Path) -> Path:
    torch.save(in_wan_names(ONE), folder / "bare.pth")
    return folder / "bare.pth"


def _module(folder: Path) -> Path:
    torch.save(ONE.state_dict(), folder / "with_metadata.bin")  # an OrderedDict that carries versions
    return folder / "with_metadata.bin"


def _parameters(folder: Path) -> Path:
    table = {name: torch.nn.Parameter(value) for name, value in in_wan_names(ONE).items()}
    torch.save({"generator": table}, folder / "parameters.pt")
    return folder / "parameters.pt"


def _diffusers(folder: Path) -> Path:
    save(ONE, wan_config(TINY_SPEC), folder, torch.float32)
    return folder


def _pipeline(folder: Path) -> Path:
    save(ONE, wan_config(TINY_SPEC), folder / "transformer", torch.float32)
    (folder / "vae").mkdir()
    return folder


def _shards(folder: Path) -> Path:
    _sharded(folder, ONE.state_dict())
    (folder / CONFIG).write_text(json.dumps(wan_config(TINY_SPEC) | {"_class_name": "WanTransformer3DModel"}))
    return folder


def _wan_shards(folder: Path) -> Path:
    _sharded(folder, in_wan_names(ONE))
    return folder / "diffusion_pytorch_model.safetensors.index.json"


def _sharded(folder: Path, table: dict[str, torch.Tensor]) -> None:
    stem = "diffusion_pytorch_model"
    holder = {name: f"{stem}-0000{at % 3 + 1}-of-00003.safetensors" for at, name in enumerate(table)}
    for file in set(holder.values()):
        save_file({name: value for name, value in table.items() if holder[name] == file}, folder / file)
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": holder}))


LAYOUTS = [
    _self_forcing,
    _causvid,
    _causal_forcing,
    _rolling_forcing,
    _longlive,
    _stream_diffusion,
    _krea,
    _wan,
    _single_file,
    _bare,
    _module,
    _parameters,
    _diffusers,
    _pipeline,
    _shards,
    _wan_shards,
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__.strip("_"))
def test_a_published_layout_loads_to_the_known_transformer(layout: Callable[[Path], Path], tmp_path: Path) -> None:
    place = layout(tmp_path)
    loaded = load_wan(place, TINY_SPEC)
    assert same(loaded.transformer, ONE)
    # Nothing stays on the meta device or tied to the file.
    assert all(not value.is_meta for value in [*loaded.parameters(), *loaded.buffers()])
    for file in tmp_path.rglob("*"):
        if file.is_file():
            file.write_bytes(b"\xff" * file.stat().st_size)
    assert same(loaded.transformer, ONE)


def test_of_two_generators_the_average_is_taken_unless_asked_otherwise(tmp_path: Path) -> None:
    place = _self_forcing(tmp_path)
    assert same(load_wan(place, TINY_SPEC, ema=True).transformer, ONE)
    assert same(load_wan(place, TINY_SPEC, ema=False).transformer, OTHER)


def test_without_an_average_the_generator_is_taken_and_never_the_other_way(tmp_path: Path) -> None:
    assert same(load_wan(_causal_forcing(tmp_path), TINY_SPEC, ema=True).transformer, ONE)
    with pytest.raises(CheckpointError, match=r"holds only generator_ema; ask for the averaged weights"):
        load_wan(_rolling_forcing(tmp_path), TINY_SPEC, ema=False)


def test_a_file_without_a_generator_is_refused(tmp_path: Path) -> None:
    torch.save({"critic": in_wan_names(ONE)}, tmp_path / "critic.pt")
    with pytest.raises(CheckpointError, match="holds only critic; it has no generator to run"):
        load_wan(tmp_path / "critic.pt", TINY_SPEC)


def test_heads_of_adversarial_training_are_dropped(tmp_path: Path) -> None:
    extra = {
        "_cls_pred_branch.0.weight": torch.ones(3),
        "model._register_tokens": torch.ones(2, 4),
        "model._gan_ca_blocks.0.norm_q.weight": torch.ones(4),
    }
    torch.save({"generator": prefixed("model.", in_wan_names(ONE)) | extra}, tmp_path / "gan.pt")
    assert same(load_wan(tmp_path / "gan.pt", TINY_SPEC).transformer, ONE)


@pytest.mark.parametrize("extra", ["img_emb.proj.0.weight", "blocks.0.cross_attn.k_img.weight"])
def test_image_to_video_weights_are_refused_by_name(extra: str, tmp_path: Path) -> None:
    save_file(in_wan_names(ONE) | {extra: torch.ones(2)}, tmp_path / "i2v.safetensors")
    with pytest.raises(CheckpointError, match="of an image-to-video model") as caught:
        load_wan(tmp_path / "i2v.safetensors", TINY_SPEC)
    assert extra in str(caught.value)


def test_image_to_video_weights_of_diffusers_are_refused_by_name(tmp_path: Path) -> None:
    extra = {"blocks.0.attn2.add_k_proj.weight": torch.ones(2)}
    save_file(ONE.state_dict() | extra, tmp_path / "i2v.safetensors")
    with pytest.raises(CheckpointError, match=r"image-to-video model \(1 weights such as blocks.0.attn2.add_k_proj"):
        load_wan(tmp_path / "i2v.safetensors", TINY_SPEC)


@pytest.mark.parametrize(("field", "value"), [("num_heads", 4), ("ffn_dim", 64), ("in_dim", 36)])
def test_wans_own_configuration_of_another_model_is_refused(field: str, value: int, tmp_path: Path) -> None:
    """The heads show in no shape: 2 of 12 and 4 of 6 have the same weights."""
    place = _wan(tmp_path)
    (place / CONFIG).write_text(json.dumps(WAN_CONFIG | {field: value}))
    with pytest.raises(CheckpointError, match=f"is {value}, tiny has"):
        load_wan(place, TINY_SPEC)


def test_a_configuration_of_other_arithmetic_is_refused(tmp_path: Path) -> None:
    place = _diffusers(tmp_path)
    (place / CONFIG).write_text(json.dumps(wan_config(TINY_SPEC) | {"qk_norm": None}))
    with pytest.raises(CheckpointError, match="qk_norm is None, tiny has 'rms_norm_across_heads'"):
        load_wan(place, TINY_SPEC)


def test_one_weight_under_two_names_is_refused(tmp_path: Path) -> None:
    twice = in_wan_names(ONE) | {"model.head.head.bias": torch.zeros(16)}
    torch.save(twice, tmp_path / "twice.pt")
    with pytest.raises(CheckpointError, match=r"holds head\.head\.bias twice, as head\.head\.bias and model\.head"):
        load_wan(tmp_path / "twice.pt", TINY_SPEC)
    mixed = in_wan_names(ONE) | {"proj_out.bias": torch.zeros(16)}
    torch.save(mixed, tmp_path / "mixed.pt")
    with pytest.raises(CheckpointError, match=r"holds proj_out\.bias twice, as head\.head\.bias and proj_out\.bias"):
        load_wan(tmp_path / "mixed.pt", TINY_SPEC)


def test_weights_of_another_model_are_refused_with_all_that_differs(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not fit tiny: ") as caught:
        load_wan(_bare(tmp_path), variant(layers=3, ffn_dim=48))
    message = str(caught.value)
    assert "27 missing: blocks.2.attn1.norm_k.weight, " in message
    assert "6 misshapen: blocks.0.ffn.net.0.proj.bias [32] instead of [48], " in message
    assert "shaped as" not in message


def test_weights_of_another_known_model_are_refused_with_its_name(tmp_path: Path) -> None:
    toy = load_spec("toy")
    save_file(known(0, toy).state_dict(), tmp_path / "toy.safetensors")
    with pytest.raises(CheckpointError, match=r"108 unexpected.*shaped as those of toy: open it as one"):
        load_wan(tmp_path / "toy.safetensors", TINY_SPEC)
    with pytest.raises(CheckpointError, match=r"does not fit self-forcing-1\.3b"):
        open_model("self-forcing-1.3b", tmp_path / "toy.safetensors")


def test_a_lora_given_as_the_model_is_told_as_such(tmp_path: Path) -> None:
    torch.save({"generator_lora": {"blocks.0.self_attn.q.lora_A.weight": torch.ones(2, 24)}}, tmp_path / "lora.pt")
    with pytest.raises(CheckpointError, match="holds a LoRA; give it as such, beside the weights it changes"):
        load_wan(tmp_path / "lora.pt", TINY_SPEC)


def test_the_catalogs_names_and_types_open(tmp_path: Path) -> None:
    toy = load_spec("toy")
    save_file(known(0, toy).state_dict(), tmp_path / "toy.safetensors")
    assert open_model("toy", tmp_path / "toy.safetensors").dtype == torch.float32  # as its spec's four bytes say
    half = open_model("toy", tmp_path / "toy.safetensors", dtype=torch.bfloat16)
    assert {value.dtype for value in half.parameters()} == {torch.bfloat16}
    wanted = known(0, toy).state_dict()
    assert all(torch.equal(v, wanted[k].bfloat16()) for k, v in half.transformer.state_dict().items())
    assert open_model(variant(weight_bytes_per_parameter=2), _bare(tmp_path)).dtype == torch.bfloat16


# -- names ---------------------------------------------------------------------------------------

WAN_NAMES = st.sampled_from(sorted(names(2)))


def test_the_outermost_model_counts() -> None:
    """A trainer that keeps a whole file under one name: what is the critic's stays so."""
    assert bare_name("critic.generator.model.blocks.0.norm3.bias") == ("critic", "blocks.0.norm3.bias")
    assert bare_name("model.generator.critic") == ("generator", "")
    assert bare_name("blocks.0.generator.weight") == ("", "blocks.0.generator.weight")


FRONTS = st.lists(st.sampled_from([*PREFIXES, *WRAPPERS]), max_size=5)


@given(WAN_NAMES, FRONTS, st.lists(st.sampled_from(WRAPPERS), max_size=3), st.data())
def test_any_nesting_of_prefixes_and_wrappers_is_read(
    name: str, front: list[str], inside: list[str], data: st.DataObject
) -> None:
    parts = name.split(".")
    for wrapper in inside:
        parts.insert(data.draw(st.integers(0, len(parts) - 1)), wrapper)
    assert bare_name(".".join([*front, *parts])) == ("", name)
    at = data.draw(st.integers(0, len(front)))
    assert bare_name(".".join([*front[:at], "generator_ema", *front[at:], *parts])) == ("generator_ema", name)


@given(st.lists(st.sampled_from(["generator", "generator_ema", "critic", ""]), unique=True, min_size=1), st.booleans())
def test_the_generator_taken_by_hand(tables: list[str], ema: bool) -> None:
    stored = [".".join(filter(None, [table, "blocks.0.self_attn.q.weight"])) for table in tables]
    order = ["generator_ema", "generator", ""] if ema else ["generator", ""]
    wanted = next((table for table in order if table in tables), None)
    if wanted is None:
        with pytest.raises(CheckpointError, match="holds only"):
            wan_names(stored, Path("x.pt"), ema=ema)
    else:
        found = wan_names(stored, Path("x.pt"), ema=ema)
        assert found == {"blocks.0.attn1.to_q.weight": stored[tables.index(wanted)]}
