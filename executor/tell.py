"""What the command prints of measures: every figure by its name in docs/metrics.md."""

from __future__ import annotations

import click

from executor.commands.shared import print_table
from planner.measures import Measures
from planner.measuring.labels import LINK_COLUMNS, RANK_COLUMNS, figure_rows, link_row, rank_row

MOST_LINKS = 32  # shown; --json has them all


def print_measures(found: Measures, *, err: bool = True) -> None:
    """Three tables: the clip's figures, its devices, its links; by default on standard error, beside a document."""
    if found.stopped:
        click.echo(f"stopped: {found.stopped}", err=err)
    print_table(("figure", found.kind), list(figure_rows(found)), err=err)
    print_table(RANK_COLUMNS, [rank_row(rank) for rank in found.ranks], err=err, apart=True)
    busiest = sorted(found.links, key=lambda link: (-link.bytes, link.source, link.target))
    if busiest:
        print_table(LINK_COLUMNS, [link_row(link) for link in busiest[:MOST_LINKS]], err=err, apart=True)
    if len(busiest) > MOST_LINKS:
        click.echo(f"and {len(busiest) - MOST_LINKS} more links, all in --json", err=err)
