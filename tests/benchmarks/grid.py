"""A committed grid of scheduling instances, each described by a row of parameters.

`python -m tests.benchmarks.grid` draws the rows again from their seed and writes `grid.json`. Each stratum stresses one
thing and draws all else at large; what is drawn is kept, easy or hard.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Literal, NamedTuple

from planner.instance import ANY, ORDER, Instance, Wire

FILE = Path(__file__).with_name("grid.json")
SEED = 20251106

Links = Literal["none", "pair", "port"]
Placement = Literal["free", "block", "step"]


class Row(NamedTuple):
    """One instance. Pass s of block b takes passes_us[s], more by growth_percent for each of the first growth_blocks
    blocks before it, on a device of speed 100.

    `clean`: the last pass only commits K/V, so the decoder does not wait for it and the last block has none. A pass
    reads `window` earlier blocks, each block `offset` - 1 passes further on than the next. `links`: a lane for each
    pair of devices, or one out of and one into each device. `apart`: the last device decodes and does nothing else.
    """

    stratum: str
    blocks: int
    passes_us: tuple[int, ...]
    growth_percent: int
    growth_blocks: int
    clean: bool
    offset: int
    window: int
    decode_us: int
    chained: bool
    speeds_percent: tuple[int, ...]
    links: Links
    latency_us: int
    bytes_per_us: int
    latents_bytes: int
    kv_bytes: int
    placement: Placement
    apart: bool

    @property
    def name(self) -> str:
        shape = f"N={self.blocks} S={len(self.passes_us)} o={self.offset} G={len(self.speeds_percent)}"
        decode = f" v={self.decode_us}{'c' if self.chained else ''}{'a' if self.apart else ''}"
        return f"{self.stratum} {shape}{decode} {self.placement}"


# -- a row's instance --------------------------------------------------------------------------------------------


def build(row: Row) -> Instance:
    """The row's instance: tasks block by block, a block's passes in order and then its decode.

    Payload 2t is the latents that task t makes, 2t + 1 its K/V.
    """
    tasks = [(b, s) for b in range(row.blocks) for s in _stages(row, b)]
    number = {task: index for index, task in enumerate(tasks)}
    decode = len(row.passes_us)
    return Instance(
        units=len(row.speeds_percent),
        durations=[_durations(row, b, s) for b, s in tasks],
        inputs=[_inputs(row, number, b, s) for b, s in tasks],
        payload_bytes=[row.latents_bytes, row.kv_bytes] * len(tasks),
        blocks=[b for b, _ in tasks],
        stays=[number[b - 1, decode] if row.chained and s == decode and b else ANY for b, s in tasks],
        wires=_wires(row),
    )


def _stages(row: Row, block: int) -> list[int]:
    passes = len(row.passes_us) - (row.clean and block == row.blocks - 1)
    return [*range(passes), *([len(row.passes_us)] if row.decode_us else [])]


def _durations(row: Row, block: int, stage: int) -> tuple[int, ...]:
    if stage == len(row.passes_us):
        work = row.decode_us
    else:
        work = row.passes_us[stage] * (100 + row.growth_percent * min(block, row.growth_blocks)) // 100
    allowed = _allowed(row, block, stage)
    return tuple(-(-work * 100 // speed) if unit in allowed else 0 for unit, speed in enumerate(row.speeds_percent))


def _allowed(row: Row, block: int, stage: int) -> range:
    units = len(row.speeds_percent)
    denoising = units - row.apart
    if stage == len(row.passes_us):
        return range(denoising if row.apart else 0, units)
    if row.placement == "free":
        return range(denoising)
    unit = (block if row.placement == "block" else stage) % denoising
    return range(unit, unit + 1)


def _inputs(row: Row, number: dict[tuple[int, int], int], block: int, stage: int) -> tuple[tuple[int, int], ...]:
    last = len(row.passes_us) - 1
    if stage > last:
        source = number[block, last - row.clean]
        after = [(number[block - 1, stage], ORDER)] if row.chained and block else []
        return ((source, 2 * source), *after)
    own = number[block, stage - 1] if stage else ANY
    read = []
    for earlier in range(max(0, block - row.window), block):
        source = number[earlier, min(stage + (block - earlier) * (row.offset - 1), last)]
        read.append((source, 2 * source + 1))
    return (*([(own, 2 * own)] if stage else []), *read)


def _wires(row: Row) -> dict[tuple[int, int], Wire] | None:
    if row.links == "none":
        return None
    units = len(row.speeds_percent)
    pairs = [(u, v) for u in range(units) for v in range(units) if u != v]
    lanes = {(u, v): (u * units + v,) if row.links == "pair" else (u, units + v) for u, v in pairs}
    return {pair: Wire(row.latency_us, float(row.bytes_per_us), lanes[pair]) for pair in pairs}


# -- drawing the rows --------------------------------------------------------------------------------------------


def sample(seed: int = SEED) -> list[Row]:
    """All rows, stratum by stratum."""
    dice = random.Random(seed)
    return [_draw(dice, stratum) for stratum, count in STRATA.items() for _ in range(count)]


STRATA = {
    "equal": 60,  # equal passes on equal devices
    "varied": 60,  # passes of different times
    "growing": 50,  # passes that take longer while the context fills
    "unequal": 60,  # devices of different speeds
    "pair": 50,  # transfers, a lane for each pair of devices, any device may run any pass
    "port": 50,  # transfers, one lane out of and one into each device
    "by block": 50,  # transfers, a block's passes pinned to one device
    "by step": 50,  # transfers, a step's passes pinned to one device
    "apart": 50,  # the decoder has a device of its own; half of them with transfers
}


def _draw(dice: random.Random, stratum: str) -> Row:
    resolution = dice.choice([1, 1000])  # microseconds: as measured, or as rounded by hand
    base = dice.randint(5, 80) * 1000
    count = dice.randint(3, 6)
    varied = stratum == "varied" or (stratum != "equal" and dice.random() < 0.5)
    times = [base * dice.randint(50, 200) // 100 for _ in range(count)] if varied else [base] * count
    growing = stratum == "growing" or (stratum not in ("equal", "varied") and dice.random() < 0.25)
    offset = dice.randint(1, count)
    fewest = 2 if stratum in _SEVERAL else 1
    # Beyond passes / offset devices a long clip gains nothing: half of the rows stay where devices are scarce.
    most = 8 if dice.random() < 0.5 else max(fewest, -(-count // offset) + 1)
    fastest = [100] * dice.randint(fewest, most)
    speeds = [dice.choice([40, 50, 60, 75, 80, 100]) for _ in fastest] if stratum == "unequal" else fastest
    size = dice.choice(["small", "large"] if stratum == "apart" else ["none", "small", "large"])
    share = {"none": 0, "small": dice.randint(10, 50), "large": dice.randint(100, 300)}[size]
    return Row(
        stratum=stratum,
        blocks=dice.randint(4, 20),
        passes_us=tuple(_round(time, resolution) for time in times),
        growth_percent=dice.randint(3, 30) if growing else 0,
        growth_blocks=dice.randint(2, 6) if growing else 0,
        clean=dice.random() < 0.4,
        offset=offset,
        decode_us=_round(base * share // 100, resolution),
        chained=share > 0 and dice.random() < 0.5,
        speeds_percent=tuple(sorted(speeds, reverse=True)),
        **_transport(dice, stratum, base),
        placement=_PLACEMENTS.get(stratum, "free"),
        apart=stratum == "apart",
    )


_SEVERAL = ("unequal", "pair", "port", "by block", "by step", "apart")  # strata that need two devices
_PLACEMENTS: dict[str, Placement] = {"by block": "block", "by step": "step"}


def _transport(dice: random.Random, stratum: str, base_us: int) -> dict[str, Any]:
    """Links and sizes; K/V takes 2 % to 80 % of a pass to travel, latents at most 5 %."""
    links: Links = dice.choice(["pair", "port"])
    if stratum in ("pair", "port"):
        links = "pair" if stratum == "pair" else "port"
    elif stratum not in ("by block", "by step") and (stratum != "apart" or dice.random() < 0.5):
        links = "none"
    rate = dice.choice([1_500, 32_000, 64_000, 450_000])  # loopback, PCIe 4 and 5, NVLink
    kv_share, latents_share = 0.02 * 40 ** dice.random(), 0.05 * dice.random()
    kv, latents = int(base_us * rate * kv_share), int(base_us * rate * latents_share)
    window, latency = dice.choice([1, 2, 3, 7]), dice.randint(5, 200)
    if links == "none":
        return {"links": "none", "latency_us": 0, "bytes_per_us": 0, "latents_bytes": 0, "kv_bytes": 0, "window": 1}
    return {
        "links": links,
        "latency_us": latency,
        "bytes_per_us": rate,
        "latents_bytes": latents,
        "kv_bytes": kv,
        "window": window,
    }


def _round(time_us: int, resolution_us: int) -> int:
    """To the resolution; a resolution of one adds what rounding would have hidden."""
    if resolution_us == 1:
        return time_us + time_us % 997 if time_us else 0
    return -(-time_us // resolution_us) * resolution_us


# -- the file ----------------------------------------------------------------------------------------------------


def load(file: Path = FILE) -> list[Row]:
    """The committed rows."""
    data = json.loads(file.read_text())
    frozen = ([tuple(value) if isinstance(value, list) else value for value in row] for row in data["rows"])
    return [Row(**dict(zip(data["columns"], row, strict=True))) for row in frozen]


def text(rows: list[Row]) -> str:
    """The file's text: one line per row."""
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    return f'{{"columns": {json.dumps(Row._fields)},\n"rows": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    FILE.write_text(text(sample()))
