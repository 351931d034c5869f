"""`blockcascade profile`: a model timed on this machine."""

from __future__ import annotations

import click

from executor.commands.shared import progress, tells_errors


@click.command()
@click.option("--model", default="toy", help="A model whose weights can be loaded.  [default: toy]")
@click.option("--device", default="cpu-core", help="The kind of device this is.  [default: cpu-core]")
@click.option("--busy-ranks", type=click.IntRange(1, 64), default=1, help="Ranks at work at once.  [default: 1]")
@click.option("--repeats", type=click.IntRange(1, 1000), default=5, help="Clips to time on each rank.  [default: 5]")
@click.option("-o", "--output", default="-", help="Where the profile goes.  [default: standard output]")
@tells_errors
def profile(model: str, device: str, busy_ranks: int, repeats: int, output: str) -> None:
    """Time a model on this machine and write the profile to plan by."""
    from models.catalog import load_spec
    from models.errors import CheckpointError
    from planner.cluster import Cluster
    from planner.files import write_document

    cluster = Cluster.of(device, busy_ranks)
    if load_spec(model).name != "toy":
        raise CheckpointError(f"model {model}: only the toy's weights can be loaded yet")
    from executor.demo import PROMPT
    from executor.profiling import profile as measure
    from models.toy.model import load_toy

    with progress(f"timing {repeats} clips on {busy_ranks} rank(s)"):
        found = measure(load_toy(), cluster, prompt=PROMPT, busy_ranks=busy_ranks, repeats=repeats)
    write_document(found, output)
