"""A sweep's rows: what was asked, what was chosen for it, and the figures with their interval and source."""

from __future__ import annotations

from typing import Any, NamedTuple

FIGURES = ("fps", "steady_fps", "first_frame_us", "period_us", "control_us", "real_time", "money_per_minute")
OK = "ok"


class Row(NamedTuple):
    """One point of a grid and its answer; where nothing can run, `verdict` says why and there are no figures.

    `ranks`: devices that the placement is laid out on, the first ones; `devices`: those of them that work.
    `fps`: pixel frames over the whole clip's time; `steady_fps` and `period_us`: of the stream that the clip would
    become; decoding is inside if the point decodes. `first_frame_us`: until the first block is finished. `control_us`:
    from a change to the first frame it affects, at worst in the clip. `real_time`: steady frames for each one shown.
    `money_per_minute`: price of the devices that work, for a minute of video once settled. `*_low`, `*_high`: the same
    plan with all durations low or high, by `source`. `bound_us`: no schedule of this pattern on this placement has a
    shorter period; `gap`: how far the period is above it. `sessions_as_placed`: as many sessions as fit in memory and
    keep the asked fps (without one, the video's own rate) if all of `count` work in groups of `devices`, placed as the
    row is, with nothing in reserve; `planner.capacity.sessions_held` tries other groups and placements, and plays them.
    `peak_memory_bytes` and `session_bytes`: of the fullest rank, and what one stream more takes there.
    `method`: `list schedule` (laid out quickly) or `plan` (searched in full).
    """

    point: int
    model: str
    width: int
    height: int
    steps: int
    decode: bool
    kv_transfer: str
    profile: str
    device: str
    link: str
    network: str | None
    per_node: int | None
    count: int  # type: ignore[assignment]  # a column's name; nobody asks a row how often a value stands in it
    blocks: int
    price_per_hour: float
    asked: str  # of pattern, offset, placement and parallel, what the point names
    pattern: str | None = None
    placement: str | None = None
    ranks: int | None = None
    devices: int | None = None
    fps: float | None = None
    fps_low: float | None = None
    fps_high: float | None = None
    steady_fps: float | None = None
    steady_fps_low: float | None = None
    steady_fps_high: float | None = None
    first_frame_us: int | None = None
    first_frame_low_us: int | None = None
    first_frame_high_us: int | None = None
    period_us: float | None = None
    control_us: int | None = None
    real_time: float | None = None
    money_per_minute: float | None = None
    sessions_as_placed: int | None = None
    peak_memory_bytes: int | None = None
    session_bytes: int | None = None
    bound_us: float | None = None
    gap: float | None = None
    method: str = ""
    source: str = ""
    verdict: str = OK

    @property
    def is_possible(self) -> bool:
        """Whether something can run, be it within the limits or not."""
        return self.fps is not None

    @property
    def is_ok(self) -> bool:
        """Whether it keeps all limits too."""
        return self.is_possible and not self.verdict.startswith("misses")

    def figure(self, name: str) -> float:
        """A column as a number. Raises AttributeError for a column there is not."""
        value = getattr(self, name)
        assert value is not None, f"row {self.point} has no {name}"
        return float(value)


def from_data(data: dict[str, Any]) -> Row:
    """The row that `row._asdict()` gave, whatever the order of its keys. Raises TypeError for other keys."""
    return Row(**data)
