"""`blockcascade estimate`: what a system comes to whose parts' latencies are written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from executor.command import Command
from executor.commands.shared import print_table, progress, require_room, tells_errors, write_json
from executor.common_flags import json_option, save_problem_option
from executor.names import FILE

if TYPE_CHECKING:
    from planner.estimate import Estimate

# The page that --example writes: all that can be said, with what it is when left out.
EXAMPLE = """\
name: a small model on one H100        # for the table
source: where the figures come from
model: self-forcing-1.3b               # a name, or {base: NAME, and the fields that differ}
steps: 4                               # denoise passes of a block
clean_pass: true                       # one more pass that commits K/V
# frames_per_block: 3                  # latent frames; pixel_frames says of how many pixel frames a block is
# frame_rate: 16                       # of the video when it is played
device: h100                           # any name
count: 1                               # devices
# price_per_hour: 2.99                 # of a device
pattern: sequential                    # sequential-recompute, same-level, cascade:1, cascade:1:live-causal, layers ...
# placement: free+decoder              # free, block, step, batched, ring; +decoder, +decoder:3; default: the best
# decode_feeds_next: true              # a block begins only once the last one is decoded
# encoder: apart                       # encode_ms keeps a device of its own busy
# before_ms: [20]                      # stages before the first pass, each on machinery of its own
# after_ms: [15, 5]                    # and after the decode: packing, the network
# blocks: 21                           # also the figures of a clip of so many
latencies:
  pass_ms: 150                         # or by context: [98.8, 124.6, 150.9] or {0: 98.8, 6: 254.3}
  # clean_ms: 120                      # default: as a pass
  # tick_ms: 400                       # instead of both: a tick with all blocks in flight
  decode_ms: 60
  # decode_first_ms: 45                # of the stream's first block
  # decode_stages_ms: [95, 99, 96]     # of a decoder in parts
  # recompute_ms: 120                  # making the context anew before each block
  # encode_ms: 40                      # encoding pixels
  # text_ms: 30                        # encoding the prompt at the start
  # block_overhead_ms: 5               # to each block's first pass
  # tick_overhead_ms: 10               # to each tick with several blocks in flight
  # joint_stretch: 1.3                 # of passes in a joint tick
  # batch_share: [0.7]                 # what further passes of a batch add, of a pass alone
  # parallel: [{method: ulysses, degree: 2, share: 0.56}]
  # hand_off_ms: 0.5                   # a message's latency between devices; default: inside the passes
  # link_gbps: 50
"""


@click.command(
    cls=Command,
    short_help="Tell fps, first frame and period of a system from its parts.",
    examples=("blockcascade estimate --example > system.yaml", "blockcascade estimate system.yaml"),
)
@click.argument("system_file", metavar="[SYSTEM]", required=False, type=FILE)
@click.option("--example", is_flag=True, help="Write a SYSTEM file to begin with, all fields explained.")
@save_problem_option
@json_option
@tells_errors
def estimate(system_file: str | None, as_json: bool, save_problem: str | None, example: bool) -> None:
    """Tell frames a second, first frame and period of a system from its parts' latencies.

    SYSTEM is a YAML or JSON file that says how the loop runs and how many milliseconds each part takes; nothing is
    measured here and no model is loaded.
    """
    from executor.flags import input_error
    from planner.estimate import estimate as reckon
    from planner.files import read_document, write_document
    from planner.system import System

    if example:
        click.echo(EXAMPLE, nl=False)
        return
    if system_file is None:
        raise input_error("name a SYSTEM file; --example writes one to begin with")
    system = read_document(System, system_file)
    with progress("planning"):
        found = reckon(system)
    require_room(as_json=as_json, save_problem=save_problem)
    if save_problem:
        write_document(system.problem(system.blocks or 21), save_problem)
    if as_json:
        write_json({"schema_name": "blockcascade.estimate/1", **found.model_dump(mode="json")})
    else:
        print_table((found.name, ""), rows(found))


def rows(found: Estimate) -> list[tuple[str, ...]]:
    """What there is to tell, by name."""
    without = "the next block needs the pixels"
    if found.fps_without_decode is not None:
        without = f"{found.fps_without_decode:.2f}"
    told: list[tuple[str, ...]] = [
        ("pattern", f"{found.pattern} on {found.placement}, {found.devices} device(s)"),
        ("period", f"{found.period_ms:.3f} ms a block of {found.frames} frames"),
        ("fps, decoding inside", f"{found.fps:.2f}"),
        ("fps without decoding", without),
        ("time to first frame", f"{found.first_frame_ms:.1f} ms"),
        ("latency of a block at most", f"{found.latency_ms:.1f} ms"),
        ("control to output at worst", f"{found.control_ms:.1f} ms"),
        ("real-time factor", f"{found.real_time_factor:.3f}"),
        ("the period is set by", found.limit),
    ]
    if found.money_per_minute:
        told.append(("money per minute of video", f"{found.money_per_minute:.3g}"))
    if found.clip is not None:
        clip = found.clip
        told.append(
            (f"clip of {clip.blocks} blocks", f"{clip.seconds:.3f} s, {clip.frames} frames, {clip.fps:.2f} fps")
        )
    return told
