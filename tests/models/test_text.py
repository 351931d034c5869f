"""Prompts are embedded as diffusers' pipeline does it, from local files that cannot run code."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

import models.text
from models.errors import CheckpointError, PromptError
from models.text import WanText, clean
from models.umt5 import load_encoder
from tests.models.umt5_folder import encoder, tokenizer, write_text_side
from tests.models.variants import variant

SPEC = variant(text_length=8)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_side(tmp_path_factory.mktemp("wan"))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder to damage."""
    return write_text_side(tmp_path / "wan")


def _text(folder: Path, **options: Any) -> WanText:
    return WanText(folder, SPEC, **{"dtype": torch.float32} | options)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """One entry for each time that the weights are read."""
    seen: list[Path] = []

    def load(folder: Path, *rest: Any) -> Any:
        seen.append(folder)
        return load_encoder(folder, *rest)

    monkeypatch.setattr(models.text, "load_encoder", load)
    return seen


def _pipelines(prompt: str, dtype: torch.dtype = torch.float32) -> Tensor:
    pipeline = WanPipeline(
        tokenizer=tokenizer(), text_encoder=encoder().to(dtype), vae=None, scheduler=None, transformer=None
    )
    embeds: Tensor = pipeline._get_t5_prompt_embeds(prompt, max_sequence_length=8, device=CPU)[0]
    return embeds


# -- what is embedded ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt", ["a red cat", "", "  a\n cat &amp;amp;\tdog ", "a unicorn", "a red cat runs in the park"], ids=repr
)
def test_a_prompt_is_embedded_as_the_pipeline_does(folder: Path, prompt: str) -> None:
    found = _text(folder)(prompt)
    assert found.shape == (SPEC.text_length, SPEC.text_dim)
    assert torch.equal(found, _pipelines(prompt))


def test_rows_past_the_prompt_are_zero_and_those_of_its_words_and_end_are_not(folder: Path) -> None:
    assert _text(folder)("a red cat").any(dim=1).tolist() == [True] * 4 + [False] * 4


def test_the_encoder_runs_in_the_type_asked_for(folder: Path) -> None:
    found = _text(folder, dtype=torch.bfloat16)("a red cat")
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, _pipelines("a red cat", torch.bfloat16))


def test_a_prompt_that_is_too_long_is_cut_only_if_asked(folder: Path) -> None:
    fits, longer = "a red cat runs in the park", "a red cat runs in the park over the moon"
    with pytest.raises(PromptError, match="11 tokens, the model reads 8"):
        _text(folder)(longer)
    cut = _text(folder, truncate=True)
    assert torch.equal(cut(longer), _pipelines(longer))
    assert torch.equal(cut(longer), cut(fits))


def test_cleaning() -> None:
    assert clean(" a \n\n b&amp;nbsp;c &amp;lt; ") == "a b c <"
    with pytest.raises(PromptError, match="not valid Unicode"):
        clean("a \udce4 cat")


# -- what is remembered --------------------------------------------------------------------------


def test_prompts_are_remembered_up_to_a_number_the_longest_unused_forgotten_first(
    folder: Path, loads: list[Path]
) -> None:
    text = _text(folder, keep="disk", remembered=2)
    assert loads == []
    for prompt, reads in [("a", 1), ("red", 2), (" a ", 2), ("cat", 3), ("a", 3), ("red", 4), ("a", 4)]:
        text(prompt)
        assert len(loads) == reads, prompt


@pytest.mark.parametrize(("keep", "reads"), [("device", 1), ("host", 1), ("disk", 2)])
def test_weights_are_kept_or_freed_as_asked(folder: Path, loads: list[Path], keep: Any, reads: int) -> None:
    text = _text(folder, keep=keep)
    wanted = [_pipelines("a cat"), _pipelines("a dog")]
    assert all(torch.equal(text(prompt), embeds) for prompt, embeds in zip(["a cat", "a dog"], wanted, strict=True))
    assert len(loads) == reads
    assert (text._encoder is None) == (keep == "disk")


def test_weights_move_to_the_device_and_off_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[str] = []

    def load(*given: Any) -> Any:
        found = load_encoder(*given)
        monkeypatch.setattr(found, "to", lambda device: moves.append(str(device)))
        return found

    monkeypatch.setattr(models.text, "load_encoder", load)
    _text(folder, keep="host", device="cpu:0")("a cat")
    assert moves == ["cpu:0", "cpu"]


def test_released_weights_are_read_again(folder: Path, loads: list[Path]) -> None:
    text = _text(folder)
    text("a cat")
    text.release()
    text("a cat")
    assert len(loads) == 1
    text("a dog")
    assert len(loads) == 2


def test_threads_share_one_reading(folder: Path, loads: list[Path]) -> None:
    text, found = _text(folder, keep="disk"), list[Tensor]()
    threads = [threading.Thread(target=lambda: found.append(text("a cat"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert all(torch.equal(one, _pipelines("a cat")) for one in found)
    assert len(found) == 4


# -- what is refused -----------------------------------------------------------------------------


def _refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        _text(folder, **options)
    return str(caught.value)


def _change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_one_file_serves_as_well_as_shards(tmp_path: Path) -> None:
    folder = write_text_side(tmp_path, shard="1GB")
    assert (folder / "text_encoder" / "model.safetensors").exists()
    assert torch.equal(_text(folder)("a cat"), _pipelines("a cat"))


def test_the_embedding_may_be_stored_under_either_name_or_both(tmp_path: Path) -> None:
    path = write_text_side(tmp_path, shard="1GB") / "text_encoder" / "model.safetensors"
    weights = load_file(path)
    matrix = weights.pop("shared.weight")
    for names in (["encoder.embed_tokens.weight"], ["encoder.embed_tokens.weight", "shared.weight"]):
        save_file(weights | {name: matrix.clone() for name in names}, path, {"format": "pt"})
        assert torch.equal(_text(tmp_path)("a cat"), _pipelines("a cat")), names
    save_file(weights, path, {"format": "pt"})
    assert "2 missing: encoder.embed_tokens.weight, shared.weight" in _refusal(tmp_path)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("text_encoder/config.json", "no such file"),
        ("text_encoder/model-00002-of-00003.safetensors", "no such file"),
        ("tokenizer/tokenizer.json", "cannot be loaded as a tokenizer"),
    ],
)
def test_a_missing_part_is_named(own: Path, part: str, words: str) -> None:
    (own / part).unlink()
    message = _refusal(own)
    assert words in message
    assert str((own / part).parent) in message


def test_an_empty_folder_and_one_without_a_tokenizer_are_refused(own: Path, tmp_path: Path) -> None:
    assert "expected a Wan diffusers folder" in _refusal(tmp_path)
    (own / "tokenizer").rename(tmp_path / "elsewhere")
    assert "no such folder" in _refusal(own)


def test_weights_cut_short_are_refused(own: Path) -> None:
    shard = sorted((own / "text_encoder").glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-4])
    assert shard.name in _refusal(own)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"d_ff": 16}, "misshapen: encoder.block.0.layer.1.DenseReluDense.wi_0.weight [12, 8] instead of [16, 8]"),
        ({"num_layers": 3}, "num_layers is 3, the weights have 2"),
        ({"vocab_size": 10**15}, "shared.weight [16, 8] instead of [1000000000000000, 8]"),
        ({"d_kv": "four"}, "does not describe a UMT5 encoder"),
        ({"feed_forward_proj": "relu"}, "unexpected"),
    ],
)
def test_a_config_that_is_not_the_weights_is_refused_before_anything_is_built(
    own: Path, changes: dict[str, Any], words: str
) -> None:
    _change(own / "text_encoder" / "config.json", **changes)
    assert words in _refusal(own)


def test_an_encoder_of_another_width_is_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="d_model is 8, tiny reads 9"):
        WanText(folder, variant(text_dim=9))


def test_a_tokenizer_of_another_encoder_is_refused(own: Path) -> None:
    other = tokenizer()
    other.add_tokens([f"<{index}>" for index in range(5)])
    other.save_pretrained(own / "tokenizer")
    assert "has 20 tokens, the encoder reads 16" in _refusal(own)


def test_shards_elsewhere_are_refused(own: Path) -> None:
    index = own / "text_encoder" / "model.safetensors.index.json"
    for stray in ("../tokenizer/x.safetensors", "/etc/passwd", "model.bin"):
        _change(index, weight_map={"shared.weight": stray})
        assert stray in _refusal(own)


def test_code_in_the_folder_is_not_run(own: Path, tmp_path: Path) -> None:
    """Neither by an `auto_map` nor by a quantizer that the configuration asks for."""
    proof = tmp_path / "proof"
    (own / "tokenizer" / "evil.py").write_text(f"import pathlib\npathlib.Path({str(proof)!r}).touch()\nclass T: pass\n")
    _change(own / "tokenizer" / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", "evil.T"]})
    _change(
        own / "text_encoder" / "config.json",
        quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True},
        auto_map={"x": "evil.T"},
    )
    assert torch.equal(_text(own)("a cat"), _pipelines("a cat"))
    assert not proof.exists()
