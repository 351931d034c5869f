"""`blockcascade demo`: the toy from profile to video."""

from __future__ import annotations

from pathlib import Path

import click

from executor.commands.shared import print_table, progress, tells_errors


@click.command()
@click.option("-o", "--out", default="out/demo", help="Folder for what the demo makes.  [default: out/demo]")
@click.option("--blocks", type=click.IntRange(2, 1000), default=21, help="Blocks of the clip.  [default: 21]")
@click.option("--repeats", type=click.IntRange(1, 100), default=5, help="Runs of each plan.  [default: 5]")
@click.option("--seed", type=int, default=0, help="Seed of the noise.  [default: 0]")
@tells_errors
def demo(out: str, blocks: int, repeats: int, seed: int) -> None:
    """Profile, plan, simulate and run the toy: sequential against cascade."""
    from executor.demo import run_demo, save_demo
    from executor.report import COLUMNS, table_rows

    with progress("loading") as say:
        made = run_demo(say, blocks=blocks, repeats=repeats, seed=seed)
        say("writing")
        report = save_demo(made, Path(out))
    print_table(COLUMNS, table_rows(made))
    click.echo(f"{report}", err=True)
