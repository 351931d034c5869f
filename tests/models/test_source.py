"""A model's parts, from wherever they lie: found before anything is read, read as far as needed, refused by name."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.catalog import load_spec
from models.checkpoint import save, wan_config
from models.errors import CheckpointError, PromptError, SpecError
from models.forward import Forward, PassInput, Past
from models.generate import generate
from models.source import ModelSource, Needs
from models.toy.model import WEIGHTS as TOY_WEIGHTS
from models.toy.model import load_toy
from models.vae import WanCodec
from tests.models.layouts import in_wan_names, known, prefixed, same
from tests.models.umt5_folder import write_text_side
from tests.models.variants import variant
from tests.tiny import TINY_SPEC, tiny_vae

PROMPT = "red cat"
equal = partial(torch.testing.assert_close, atol=0, rtol=0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`wan/`: a whole diffusers folder; `self_forcing.pt`: its transformer alone."""
    root = tmp_path_factory.mktemp("weights")
    vae = tiny_vae()
    save(known(), wan_config(TINY_SPEC), root / "wan" / "transformer", torch.float32)
    save(vae, dict(vae.config), root / "wan" / "vae", torch.float32)
    write_text_side(root / "wan")
    torch.save({"generator_ema": prefixed("model.", in_wan_names(known()))}, root / "self_forcing.pt")
    return root


def _refusal(source: ModelSource, needs: Needs = Needs()) -> str:  # noqa: B008 - frozen value
    with pytest.raises(CheckpointError) as told:
        source.check(needs)
    with pytest.raises(CheckpointError) as again:
        source.load(needs=needs)
    assert str(again.value) == str(told.value)
    return str(told.value)


def test_a_whole_folder_needs_no_other_place(folders: Path) -> None:
    model = ModelSource(TINY_SPEC, folders / "wan").load()
    assert same(model.wan.transformer, known())
    assert isinstance(model.vae, WanCodec)
    equal(dict(model.vae.vae.state_dict()), dict(tiny_vae().state_dict()))
    assert model.embed_prompt(PROMPT).shape == (TINY_SPEC.text_length, TINY_SPEC.text_dim)


def test_a_weight_file_takes_the_other_parts_from_their_own_places(folders: Path) -> None:
    wan = folders / "wan"
    whole = ModelSource(TINY_SPEC, wan).load()
    for vae, text in ((wan, wan), (wan / "vae", wan / "text_encoder")):
        model = ModelSource(TINY_SPEC, folders / "self_forcing.pt", vae=vae, text_encoder=text).load()
        assert same(model.wan.transformer, known())
        equal(model.embed_prompt(PROMPT), whole.embed_prompt(PROMPT))
        assert isinstance(model.vae, WanCodec)


def test_the_toy_ships() -> None:
    model, shipped = ModelSource(load_spec("toy")).load(), load_toy()
    prompt = "a red circle at the top left moving down right"
    equal(model.embed_prompt(prompt), shipped.embed_prompt(prompt))
    equal(dict(model.wan.state_dict()), dict(shipped.wan.state_dict()))
    again = ModelSource(load_spec("toy"), TOY_WEIGHTS).load()
    equal(dict(again.wan.state_dict()), dict(shipped.wan.state_dict()))
    equal(again.embed_prompt(prompt), shipped.embed_prompt(prompt))


# -- what is missing -----------------------------------------------------------------------------


def test_other_weights_than_the_toys_must_be_named() -> None:
    told = _refusal(ModelSource(TINY_SPEC))
    assert "model tiny: its weights do not ship" in told
    assert "--checkpoint" in told


def test_flags_for_a_checkpoint_without_one(folders: Path) -> None:
    toy = load_spec("toy")
    assert _refusal(ModelSource(toy, vae=folders)).startswith("--vae: is for a checkpoint")
    assert _refusal(ModelSource(toy, dtype="bfloat16")).startswith("--dtype: is for a checkpoint")
    assert _refusal(ModelSource(toy, text_encoder=folders)).startswith("--text-encoder: is for a checkpoint")


def test_each_missing_part_is_named_with_its_flag(folders: Path, tmp_path: Path) -> None:
    alone = ModelSource(TINY_SPEC, folders / "self_forcing.pt")
    assert "holds the transformer only; add --vae PLACE" in _refusal(alone)
    assert "--no-decode" in _refusal(alone)
    assert "holds no text encoder; add --text-encoder FOLDER" in _refusal(alone, Needs(codec=False))
    alone.check(Needs(codec=False, text=False))
    wrong = alone._replace(vae=tmp_path / "none", text_encoder=tmp_path)
    assert f"{tmp_path / 'none'}: no such file or folder" in _refusal(wrong)
    assert f"{tmp_path}: is no text encoder" in _refusal(wrong, Needs(codec=False))
    assert "no such file or folder" in _refusal(alone._replace(checkpoint=tmp_path / "none"))
    lost = alone._replace(lora=tmp_path / "lora.pt")
    assert f"{tmp_path / 'lora.pt'}: no such file; name" in _refusal(lost, Needs(codec=False, text=False))
    assert "must be one of float32" in _refusal(alone._replace(dtype="float8"), Needs(codec=False, text=False))


def test_a_text_side_given_is_not_sought_elsewhere(folders: Path, tmp_path: Path) -> None:
    source = ModelSource(TINY_SPEC, folders / "wan", text_encoder=tmp_path)
    assert "is no text encoder" in _refusal(source, Needs(codec=False))


def test_an_autoencoder_of_another_model_is_refused(folders: Path) -> None:
    # Frames of one latent frame each, so that both specs are valid.
    coarse = TINY_SPEC.vae.model_copy(update={"pixel_patch": 4})
    spec = variant(vae=coarse, vae_stride=(2, 8, 8))
    with pytest.raises(CheckpointError, match=r"decodes 4 channels at stride \(2, 4, 4\), tiny makes 4 at \(2, 8, 8\)"):
        ModelSource(spec, folders / "wan").load(needs=Needs(text=False))


def test_a_pickled_program_is_not_run(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(tmp_path / "ran"),)

    (tmp_path / "bad.pt").write_bytes(pickle.dumps({"generator": Bad()}))
    with pytest.raises(CheckpointError, match=r"bad\.pt"):
        ModelSource(TINY_SPEC, tmp_path / "bad.pt").load(needs=Needs(codec=False, text=False))
    assert not (tmp_path / "ran").exists()


def test_a_codec_given_is_taken_and_a_file_is_a_tiny_decoder(folders: Path, tmp_path: Path) -> None:
    save_file({"decoder.0.weight": torch.zeros(1)}, tmp_path / "tae.safetensors")
    with pytest.raises(SpecError, match=r"tiny: no tiny decoder for stride \(2, 4, 4\)"):
        ModelSource(TINY_SPEC, folders / "wan", vae=tmp_path / "tae.safetensors").load(needs=Needs(text=False))


# -- as far as needed ----------------------------------------------------------------------------


def test_a_rank_reads_what_it_needs(folders: Path) -> None:
    source = ModelSource(TINY_SPEC, folders / "self_forcing.pt", text_encoder=folders / "wan")
    model = source.load(needs=Needs(layers=range(1, 2), codec=False))
    held, full = dict(model.wan.transformer.named_parameters()), known().state_dict()
    assert model.vae is None
    for name, value in held.items():
        assert value.is_meta == name.startswith("blocks.0.")
        assert value.is_meta or torch.equal(value, full[name])
    views = model.wan.encode_text(model.embed_prompt(PROMPT))
    assert [view.key_LHE.is_meta for view in views] == [True, False]


def test_slices_of_the_layers_make_the_whole_pass(folders: Path) -> None:
    source = ModelSource(TINY_SPEC, folders / "self_forcing.pt")
    embeds = {PROMPT: torch.randn(3, 8, generator=torch.Generator().manual_seed(0))}

    def run(layers: range | None, hidden: torch.Tensor | None = None) -> tuple[torch.Tensor, list[torch.Tensor]]:
        model = source.load(needs=Needs(layers=layers, codec=False), embeds=embeds)
        own = torch.zeros(len(layers or range(2)), 2, 8, 2, 12)
        text = model.wan.encode_text(model.embed_prompt(PROMPT))
        latents = torch.randn(4, 2, 4, 4, generator=torch.Generator().manual_seed(1))
        given = PassInput(latents, 500.0, 0, own, [Past(own)], text)
        forward = Forward(model.wan, [given], layers=layers, hidden=hidden)
        flows = forward.run()
        return forward.hidden, flows

    hidden, none = run(range(1))
    assert none == []
    equal(run(range(1, 2), hidden)[1], run(None)[1])


def test_prompts_embedded_before_need_no_encoder(folders: Path) -> None:
    whole = ModelSource(TINY_SPEC, folders / "wan")
    embeds = whole.embed([PROMPT, "the moon"])
    assert list(embeds) == [PROMPT, "the moon"]
    model = ModelSource(TINY_SPEC, folders / "self_forcing.pt").load(needs=Needs(codec=False), embeds=embeds)
    equal(model.embed_prompt(PROMPT), whole.load().embed_prompt(PROMPT))
    with pytest.raises(PromptError, match="'another' was not embedded before"):
        model.embed_prompt("another")


def test_a_type_is_chosen_or_the_models(folders: Path) -> None:
    source = ModelSource(TINY_SPEC, folders / "wan")
    assert source.load(needs=Needs(codec=False, text=False)).wan.dtype == torch.float32
    model = source._replace(dtype="bfloat16").load(needs=Needs(text=False))
    assert model.wan.dtype == torch.bfloat16
    assert isinstance(model.vae, WanCodec)
    assert model.vae.vae.dtype == torch.bfloat16
    spec = variant(weight_bytes_per_parameter=2)
    assert ModelSource(spec, folders / "wan").load(needs=Needs(codec=False, text=False)).wan.dtype == torch.bfloat16


def test_what_is_loaded_makes_a_clip(folders: Path) -> None:
    model = ModelSource(TINY_SPEC, folders / "wan").load()
    made = generate(model.wan, model.wan.encode_text(model.embed_prompt(PROMPT)), blocks=2, seed=0)
    assert model.vae is not None
    assert model.vae.decoder().decode(made[0]).shape == (3, 16, 16, 3)
