"""`blockcascade models`: what is built in, and one model's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from executor.command import Command
from executor.commands.shared import print_table, tells_errors, write_json
from executor.common_flags import json_option
from executor.names import MODEL

if TYPE_CHECKING:
    from models.spec import ModelSpec

COLUMNS = (
    "model",
    "parameters",
    "pixels",
    "passes",
    "frames a block",
    "window",
    "sink",
    "K/V a frame",
    "tolerates",
    "source",
)


@click.command(
    cls=Command,
    short_help="List the models that are built in; show one.",
    examples=("blockcascade models", "blockcascade models self-forcing-1.3b", "blockcascade models mine.yaml --json"),
)
@click.argument("model", metavar="[MODEL]", required=False, type=MODEL)
@json_option
@tells_errors
def models(model: str | None, as_json: bool) -> None:
    """List the models that are built in, each with its source; or show one MODEL, by name or spec file.

    Frames are latent frames; a pass is one forward of one block. Any other model is a file: docs/models.md.
    """
    from models.catalog import CATALOG
    from models.find_spec import find_spec

    chosen = list(CATALOG.values()) if model is None else [find_spec(model)]
    if as_json:
        data = {"schema_name": "blockcascade.models/1", "models": [_data(spec) for spec in chosen]}
        write_json(data)
    elif model is None:
        print_table(COLUMNS, [_row(spec) for spec in chosen])
    else:
        print_table((chosen[0].name, ""), list(_rows(chosen[0])))


def _data(spec: ModelSpec) -> dict[str, Any]:
    """The spec's own fields, and under `derived` what follows from them."""
    derived = {
        "parameters": spec.parameters,
        "weight_bytes": spec.weight_bytes,
        "decoder_weight_bytes": spec.decoder_weight_bytes,
        "text_encoder_bytes": spec.text_encoder_bytes,
        "passes": spec.passes,
        "tokens_per_frame": spec.tokens_per_frame,
        "pixel_width": spec.pixel_width,
        "pixel_height": spec.pixel_height,
        "pixel_frames_per_block": spec.pixel_frames(1),
        "kv_bytes_per_frame": spec.kv_bytes_per_frame,
        "kv_bytes_per_block": spec.kv_bytes_per_block,
        "latent_bytes_per_block": spec.latent_bytes_per_block,
        "pass_flops_alone": spec.pass_flops(0),
        "pass_flops_full_window": spec.pass_flops(spec.window_blocks - 1),
        "decode_flops": spec.decode_flops(1),
    }
    return {**spec.model_dump(mode="json"), "derived": derived}


def _row(spec: ModelSpec) -> tuple[str, ...]:
    return (
        spec.name,
        _count(spec.parameters),
        f"{spec.pixel_width}x{spec.pixel_height}",
        str(spec.passes),
        str(spec.frames_per_block),
        str(spec.window),
        str(spec.sink),
        _bytes(spec.kv_bytes_per_frame),
        ", ".join(spec.tolerates),
        spec.source,
    )


def _rows(spec: ModelSpec) -> list[tuple[str, str]]:
    steps = ", ".join(f"{step:g}" for step in spec.timesteps)
    first = f"; the first block takes {spec.first_block_steps}" if spec.first_block_steps else ""
    return [
        ("source", spec.source),
        ("layers", f"{spec.layers} of width {spec.dim}: {spec.heads} heads of {spec.head_dim}, FFN {spec.ffn_dim}"),
        ("weights", f"{_count(spec.parameters)} parameters, {_bytes(spec.weight_bytes)}"),
        ("decoder's weights", _bytes(spec.decoder_weight_bytes)),
        ("text encoder's weights", _bytes(spec.text_encoder_bytes) if spec.text_encoder_parameters else "none"),
        ("pixels", f"{spec.pixel_width}x{spec.pixel_height}, {spec.frame_rate:g} frames a second"),
        ("latents", f"{spec.latent_channels} x {spec.latent_height} x {spec.latent_width} a frame"),
        ("block", f"{spec.frames_per_block} latent frames, {spec.pixel_frames(1)} pixel frames"),
        ("tokens", f"{spec.tokens_per_frame:,} a latent frame, {spec.tokens_per_block:,} a block"),
        ("denoise steps", f"{spec.steps} at {steps} of 1000{first}"),
        ("clean pass", "yes: one more pass commits K/V" if spec.clean_pass else "no"),
        ("window", f"{spec.window} latent frames, {spec.sink} of them sink"),
        ("K/V", f"{_bytes(spec.kv_bytes_per_frame)} a latent frame, {_bytes(spec.kv_bytes_per_block)} a block"),
        (
            "a pass",
            f"{_flops(spec.pass_flops(0))} alone, {_flops(spec.pass_flops(spec.window_blocks - 1))} full window",
        ),
        ("a block's decode", _flops(spec.decode_flops(1))),
        ("tolerates", ", ".join(spec.tolerates)),
    ]


def _count(number: int) -> str:
    return f"{number / 1e9:.2f} B" if number >= 10**9 else f"{number / 1e6:.1f} M"


def _bytes(number: int) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 10**9 else f"{number / 1e6:.1f} MB"


def _flops(number: int) -> str:
    return f"{number / 1e12:.2f} TFLOP" if number >= 10**11 else f"{number / 1e9:.3f} GFLOP"
