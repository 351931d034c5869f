"""`blockcascade patterns`: what a pass may read of earlier blocks, and which of it a model tolerates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from executor.command import Command
from executor.commands.shared import print_table, tells_errors, write_json
from executor.common_flags import json_option
from executor.names import MODEL

if TYPE_CHECKING:
    from models.spec import ModelSpec
    from planner.patterns import Pattern

SCHEMA = "blockcascade.patterns/1"


class Meaning(NamedTuple):
    """How a kind of pattern is written, what it reads, and who is known to run it."""

    form: str
    reads: str
    source: str


MEANINGS = {
    "sequential": Meaning(
        "sequential", "a block begins when its predecessor is clean", "Self-Forcing arXiv 2506.08009; CausVid; LongLive"
    ),
    "cascade": Meaning(
        "cascade:OFFSET",
        "a block trails its predecessor by OFFSET passes and reads K/V of passes that have finished",
        "LiveAvatar and StreamDiffusionV2 at offset 1, there called same-level",
    ),
    "cascade live-causal": Meaning(
        "cascade:OFFSET:live-causal",
        "as cascade, but reads older blocks in flight layer by layer, in the same tick",
        "WaveForcing; MAGI-1",
    ),
    "cascade live-joint": Meaning(
        "cascade:OFFSET:live-joint",
        "as live-causal, and newer blocks in flight too: all of them run as one gang",
        "Block Cascading arXiv 2511.20426; RollingForcing",
    ),
    "sequential-recompute": Meaning(
        "sequential-recompute", "as sequential, with the context made anew from decoded pixels", "Krea realtime"
    ),
    "layers": Meaning("layers", "each pass is split by layers over a ring of devices", "StreamDiffusionV2"),
}
COLUMNS = ("pattern", "blocks in flight", "tolerated", "what it reads")
FORM_COLUMNS = ("pattern", "what it reads", "who runs it")


@click.command(
    cls=Command,
    short_help="List the patterns there are; which a model tolerates.",
    examples=("blockcascade patterns self-forcing-1.3b", "blockcascade patterns mine.yaml --json"),
)
@click.argument("model", metavar="[MODEL]", required=False, type=MODEL)
@json_option
@tells_errors
def patterns(model: str | None, as_json: bool) -> None:
    """List the patterns there are, what each means and who runs it; with MODEL, which of them its checkpoint tolerates.

    A pattern says at which noise level a pass reads each earlier block. The lower its offset, the more blocks are in
    flight at once, and the noisier is what they read.
    """
    if model is None:
        if as_json:
            write_json({"schema_name": SCHEMA, "model": None, "patterns": [m._asdict() for m in MEANINGS.values()]})
        else:
            print_table(FORM_COLUMNS, list(MEANINGS.values()))
        return
    from models.find_spec import find_spec

    spec = find_spec(model)
    if as_json:
        write_json({"schema_name": SCHEMA, "model": spec.name, "patterns": _data(spec)})
        return
    clean = " and a clean pass" if spec.clean_pass else ", no clean pass"
    click.echo(f"{spec.name}: {spec.steps} denoise steps{clean}; source: {spec.source}")
    rows = [
        (p["pattern"], str(p["in_flight"]), "yes" if p["tolerated"] else "not known", p["reads"]) for p in _data(spec)
    ]
    print_table(COLUMNS, rows)


def _data(spec: ModelSpec) -> list[dict[str, Any]]:
    """Every pattern of a model, those that read the cleanest context first."""
    from planner.patterns import all_patterns, tolerates

    return [
        {
            "pattern": str(pattern),
            "offset": pattern.offset,
            "in_flight": _in_flight(pattern, spec),
            "tolerated": tolerates(spec, pattern),
            **MEANINGS[_kind(pattern)]._asdict(),
            "reads": MEANINGS[_kind(pattern)].reads.replace("OFFSET passes", _passes(pattern.offset)),
        }
        for pattern in all_patterns(spec)
    ]


def _passes(number: int) -> str:
    return "1 pass" if number == 1 else f"{number} passes"


def _kind(pattern: Pattern) -> str:
    return f"cascade live-{pattern.direction}" if pattern.exchange == "live" else pattern.name


def _in_flight(pattern: Pattern, spec: ModelSpec) -> int:
    """Blocks at work at once if there are devices enough."""
    return -(-spec.passes // pattern.offset)
