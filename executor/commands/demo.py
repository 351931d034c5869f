"""`blockcascade demo`: the toy from profile to video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from executor.command import Command
from executor.commands.shared import print_table, progress, tells_errors, write_json
from executor.common_flags import json_option
from executor.names import FOLDER

if TYPE_CHECKING:
    from executor.demo import Case


@click.command(
    cls=Command,
    short_help="Profile, plan, simulate and run the toy model that ships.",
    examples=("blockcascade demo", "blockcascade demo --blocks 9 --repeats 1 -o out/short"),
)
@click.option("--blocks", type=click.IntRange(2, 1000), default=21, metavar="COUNT", help="Of the clip.  [default: 21]")
@click.option("--repeats", type=click.IntRange(1, 100), default=5, metavar="COUNT", help="Of each run.  [default: 5]")
@click.option("--seed", type=int, default=0, metavar="SEED", help="Seed of the noise.  [default: 0]")
@click.option(
    "-o", "--output", type=FOLDER, default="out/demo", help="Folder for all that the demo makes.  [default: out/demo]"
)
@json_option
@tells_errors
def demo(output: str, blocks: int, repeats: int, seed: int, as_json: bool) -> None:
    """Profile, plan, simulate and run the toy: sequential against cascade."""
    from executor.demo import run_demo, save_demo
    from executor.report import COLUMNS, table_rows

    with progress("loading") as say:
        made = run_demo(say, blocks=blocks, repeats=repeats, seed=seed)
        say("writing")
        report = save_demo(made, Path(output))
    if as_json:
        write_json(
            {"schema_name": "blockcascade.demo/1", "report": str(report), "cases": [_case(c) for c in made.cases]}
        )
        return
    print_table(COLUMNS, table_rows(made))
    click.echo(f"more in {report}", err=True)


def _case(case: Case) -> dict[str, Any]:
    figures = {
        "planned": case.planned_metrics,
        "simulated": case.simulated_metrics,
        "measured": case.measured_metrics,
    }
    told = {name: found.model_dump(mode="json") for name, found in figures.items()}
    return {"name": case.name, "pattern": str(case.plan.pattern), "placement": case.plan.placement, **told}
