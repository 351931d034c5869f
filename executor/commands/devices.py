"""`blockcascade devices`: the devices and links that are built in."""

from __future__ import annotations

import click

from executor.command import Command
from executor.commands.shared import print_table, tells_errors, write_json
from executor.common_flags import json_option

COLUMNS = ("device", "peak TFLOP/s", "memory GB", "memory GB/s", "money an hour", "watts", "usual link", "source")
LINK_COLUMNS = ("link", "GB/s", "latency us", "collective us", "contended", "source")
CONTENDED = {"pair": "by each pair", "port": "at each port", "bus": "by a whole node"}


@click.command(
    cls=Command,
    short_help="List the devices and links that are built in.",
    examples=("blockcascade devices", "blockcascade devices --json"),
)
@json_option
@tells_errors
def devices(as_json: bool) -> None:
    """List the kinds of device and of link that are built in, each with its source.

    Peak is dense bf16. Prices are typical rents: `whatif --price` and a problem's price_per_hour take yours. Any other
    device goes into a problem file: docs/devices.md.
    """
    from planner.cluster import DEVICES, LINKS, Cluster

    usual = {kind: Cluster.of(kind).link.kind for kind in DEVICES}
    if as_json:
        write_json(
            {
                "schema_name": "blockcascade.devices/1",
                "devices": [{**each.model_dump(mode="json"), "link": usual[kind]} for kind, each in DEVICES.items()],
                "links": [each.model_dump(mode="json") for each in LINKS.values()],
            }
        )
        return
    rows: list[tuple[str, ...]] = [
        (
            kind,
            f"{each.peak_tflops:g}",
            f"{each.memory_bytes / 1e9:.0f}",
            f"{each.memory_gbps:g}",
            f"{each.price_per_hour:.2f}",
            "-" if each.power_watts is None else f"{each.power_watts:g}",
            usual[kind],
            each.source.partition("; ")[0],
        )
        for kind, each in DEVICES.items()
    ]
    print_table(COLUMNS, rows)
    # Prices and powers have the same source for all.
    click.echo(max((each.source.partition("; ")[2] for each in DEVICES.values()), key=len))
    links: list[tuple[str, ...]] = [
        (
            kind,
            f"{each.bandwidth_gbps:g}",
            str(each.latency_us),
            str(each.collective_us),
            CONTENDED[each.sharing],
            each.source,
        )
        for kind, each in LINKS.items()
    ]
    print_table(LINK_COLUMNS, links, apart=True)
