"""`blockcascade profile`: a model timed on this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import click

from executor.command import Command, section
from executor.commands.model_options import ModelFlags, model_options
from executor.commands.shared import print_table, progress, require_room, tells_errors, write_json
from executor.common_flags import json_option, output_option
from executor.names import DEVICE, MODEL

if TYPE_CHECKING:
    from torch import device as Device

    from executor.measuring.profiling import Maker
    from models.loaded import LoadedModel
    from models.spec import ModelSpec


@click.command(
    cls=Command,
    short_help="Time a model on this machine and write the profile to plan by.",
    examples=(
        "blockcascade profile --busy-ranks 2 -o profile.json",
        "blockcascade profile --model self-forcing-1.3b --device h100 --random-weights -o profile.json",
    ),
)
@section(
    "What is timed",
    click.option("--model", type=MODEL, default="toy", help="A model's name or spec file.  [default: toy]"),
    click.option("--device", type=DEVICE, default="cpu-core", help="The kind this machine has.  [default: cpu-core]"),
    click.option(
        "--random-weights", is_flag=True, help="Fill the model's shape with random numbers: as fast as real ones."
    ),
    click.option(
        "--busy-ranks", type=click.IntRange(1, 64), default=1, metavar="COUNT", help="At work at once.  [default: 1]"
    ),
    click.option(
        "--repeats", type=click.IntRange(1, 1000), default=5, metavar="COUNT", help="Rounds on each rank.  [default: 5]"
    ),
    click.option(
        "--limit", "limit_s", type=click.FloatRange(min=1), metavar="SECONDS", help="Most time for it.  [default: any]"
    ),
    click.option("--prompt", metavar="TEXT", help="What to show meanwhile.  [default: one that the toy can read]"),
)
@model_options
@section("Output", output_option("the profile goes", usual="standard output"), json_option)
@tells_errors
def profile(
    model: str,
    device: str,
    random_weights: bool,
    busy_ranks: int,
    repeats: int,
    limit_s: float | None,
    prompt: str | None,
    output: str | None,
    as_json: bool,
    model_flags: ModelFlags,
) -> None:
    """Time a model on this machine and write the profile to plan by.

    Passes by context, alone and several at once, clean passes, decodes, encodes, and with several ranks the links.
    """
    from executor.demo import PROMPT
    from executor.describe import PROFILE_COLUMNS, profile_rows
    from executor.measuring.profiling import profile as measure
    from models.find_spec import find_spec
    from planner.cluster import Cluster
    from planner.files import write_document

    output = output or (None if as_json else "-")
    taken = require_room(as_json=as_json, output=output)
    cluster, spec = Cluster.of(device, busy_ranks), find_spec(model)
    make = _maker(spec, model_flags, random_weights=random_weights)
    with progress(f"timing {spec.name} in {repeats} rounds on {busy_ranks} rank(s)"):
        found = measure(
            make,
            cluster,
            prompt=prompt or PROMPT,
            busy_ranks=busy_ranks,
            repeats=repeats,
            limit_s=float("inf") if limit_s is None else limit_s,
            fused=model_flags.fused,
        )
    if output is not None:
        write_document(found, output)
    if as_json:
        write_json(found)
        return
    print_table(PROFILE_COLUMNS, profile_rows(found), err=taken)
    for what in found.missing:
        click.echo(f"missing: {what}", err=True)


def _maker(spec: ModelSpec, flags: ModelFlags, *, random_weights: bool) -> Maker:
    """Makes the model that is asked for on a device, readied as it will run."""
    from executor.flags import input_error
    from models.source import DTYPES

    options = flags.options()
    if random_weights:
        if flags.checkpoint is not None:
            raise input_error("--random-weights: there is a --checkpoint too; drop one of them")
        from models.random_weights import random_model

        make = partial(random_model, spec, dtype=None if flags.dtype is None else DTYPES[flags.dtype])
        return partial(_readied, lambda device: make(device=device), options.apply)
    source = flags.source(spec)
    return partial(_readied, source.load, options.apply)


def _readied(make: Maker, ready: Callable[[LoadedModel], None], device: Device) -> LoadedModel:
    model = make(device)
    ready(model)
    return model
