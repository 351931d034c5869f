"""How measures are printed: each figure's label, as docs/metrics.md has it, and its text with a unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from planner.measures import LinkMeasures, Measures, RankMeasures

UNKNOWN = "-"
LONG_US = 10**8


class Label(NamedTuple):
    """What a field of `Measures` is called, and how its value is written."""

    field: str
    label: str
    text: Callable[[float], str]


def milliseconds(us: float) -> str:
    return f"{us / 1000:.1f} ms" if us < LONG_US else f"{us / 1e6:,.1f} s"


def per_second(value: float) -> str:
    return f"{value:.2f} fps"


def share(value: float) -> str:
    return f"{value:.1%}"


def whole(value: float) -> str:
    return f"{value:,.0f}"


def factor(value: float) -> str:
    return f"{value:.3f}x"


def money(value: float) -> str:
    return f"{value:.4g}"


def joules(value: float) -> str:
    return f"{value:,.0f} J"


LABELS = (
    Label("blocks", "blocks finished", whole),
    Label("frames", "frames", whole),
    Label("makespan_us", "makespan", milliseconds),
    Label("fps", "fps, whole clip", per_second),
    Label("fps_without_decode", "fps, without decode", per_second),
    Label("steady_fps", "fps, steady", per_second),
    Label("real_time_factor", "real-time factor", factor),
    Label("first_frame_us", "time to first frame", milliseconds),
    Label("period_us", "period, mean", milliseconds),
    Label("period_p50_us", "period, p50", milliseconds),
    Label("period_p95_us", "period, p95", milliseconds),
    Label("period_p99_us", "period, p99", milliseconds),
    Label("block_latency_us", "block latency, worst", milliseconds),
    Label("control_us", "control to output, worst", milliseconds),
    Label("control_p95_us", "control to output, p95", milliseconds),
    Label("play_start_us", "playing starts after", milliseconds),
    Label("deadline_attainment", "deadline attainment", share),
    Label("underruns", "underruns", whole),
    Label("stall_us", "stall time", milliseconds),
    Label("devices", "devices busy", whole),
    Label("money", "money for the clip", money),
    Label("money_per_minute", "money a minute of video", money),
    Label("energy_joules", "energy", joules),
    Label("energy_per_minute", "energy a minute of video", joules),
)
SWITCH = "control to output, switch"  # and its number
DEFINED = "defined in docs/metrics.md"
FIGURE_COLUMNS = ("figure", "field", "value")
RANK_COLUMNS = ("rank", "device", "utilization", "bubble", "busy time", "peak memory", "of")
LINK_COLUMNS = ("link", "bytes", "busy")


def gigabytes(value: float) -> str:
    return f"{value / 1e9:.3f} GB"


def written(label: Label, value: float | None) -> str:
    """A figure's text; a dash where there is none."""
    return UNKNOWN if value is None else label.text(value)


def figure_rows(found: Measures) -> Iterator[tuple[str, str]]:
    """Each figure of the clip: its label and its text. A switch too late for any block has a dash."""
    return ((label, text) for label, _, text in named_rows(found))


def named_rows(found: Measures) -> Iterator[tuple[str, str, str]]:
    """The same with the figure's field between, under FIGURE_COLUMNS."""
    for label in LABELS:
        yield label.label, label.field, written(label, getattr(found, label.field))
    for number, us in enumerate(found.switches_us, start=1):
        yield f"{SWITCH} {number}", f"switches_us[{number - 1}]", UNKNOWN if us is None else milliseconds(us)


def rank_row(rank: RankMeasures) -> tuple[str, ...]:
    """One device under RANK_COLUMNS."""
    sizes = gigabytes(rank.peak_bytes), f"{rank.memory_bytes / 1e9:.0f} GB"
    return f"r{rank.rank}", rank.device, share(rank.utilization), share(rank.bubble), milliseconds(rank.busy_us), *sizes


def link_row(link: LinkMeasures) -> tuple[str, ...]:
    """One way between two ranks under LINK_COLUMNS."""
    return f"r{link.source} to r{link.target}", f"{link.bytes:,}", share(link.busy)
