"""The flags of weights and options, as a command gets them."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click
import pytest
from click.testing import CliRunner

from executor.commands.model_options import DTYPES, MODES, ModelFlags, model_options
from executor.errors import WorldError
from executor.options import CompileMode
from models import source
from models.catalog import load_spec
from models.errors import CheckpointError
from tests.tiny import TINY_SPEC


def _flags(*arguments: str) -> ModelFlags:
    seen: list[ModelFlags] = []

    @click.command()
    @click.argument("name")
    @model_options
    def command(name: str, model_flags: ModelFlags) -> None:
        assert name == "x"
        seen.append(model_flags)

    result = CliRunner().invoke(command, ["x", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return seen[0]


def test_without_flags_it_is_the_toy_run_plainly() -> None:
    flags = _flags()
    assert flags.source(load_spec("toy")) == source.ModelSource(load_spec("toy"))
    assert flags.options().model_dump() == {
        "compile": False,
        "compile_mode": "default",
        "attention": "native",
        "kv_transfer": None,
        "fused": None,
    }


def test_every_flag_arrives(tmp_path: Path) -> None:
    (tmp_path / "wan.pt").touch()
    (tmp_path / "tae.pth").touch()
    (tmp_path / "lora.pt").touch()
    for part in ("text_encoder", "tokenizer"):
        (tmp_path / part).mkdir()
    flags = _flags(
        *("--checkpoint", f"{tmp_path}/wan.pt", "--vae", f"{tmp_path}/tae.pth", "--text-encoder", f"{tmp_path}"),
        *("--lora", f"{tmp_path}/lora.pt", "--lora-alpha", "32", "--no-ema", "--dtype", "bfloat16"),
        *("--compile", "--compile-mode", "reduce-overhead", "--attention", "_native_math", "--no-fused"),
    )
    assert flags.source(TINY_SPEC) == source.ModelSource(
        TINY_SPEC,
        checkpoint=tmp_path / "wan.pt",
        vae=tmp_path / "tae.pth",
        text_encoder=tmp_path,
        lora=tmp_path / "lora.pt",
        lora_alpha=32.0,
        ema=False,
        dtype="bfloat16",
    )
    options = flags.options()
    assert (options.compile, options.compile_mode, options.attention) == (True, "reduce-overhead", "_native_math")
    assert options.fused is False


def test_what_is_missing_is_told_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "wan.pt").write_bytes(b"not read")
    flags = _flags("--checkpoint", f"{tmp_path}/wan.pt")
    with pytest.raises(CheckpointError, match="add --vae"):
        flags.source(TINY_SPEC)
    with pytest.raises(CheckpointError, match="add --text-encoder"):
        flags.source(TINY_SPEC, decodes=False)
    with pytest.raises(CheckpointError, match="--checkpoint"):
        _flags().source(TINY_SPEC)
    with pytest.raises(WorldError, match="add --compile"):
        _flags("--compile-mode", "max-autotune").options()


def test_choices_are_those_there_are() -> None:
    assert tuple(source.DTYPES) == DTYPES
    assert get_args(CompileMode) == MODES
