"""What was found of serving as cells of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from planner.measuring.labels import UNKNOWN

if TYPE_CHECKING:
    from planner.serving.cheapest import Offer
    from planner.serving.held import Held
    from planner.serving.outcome import Percentiles, Served

HELD_COLUMNS = (
    "policy",
    "groups",
    "runs",
    "sessions",
    "blocks in time, p95",
    "money an hour",
    "money a session-hour",
    "what breaks first",
)
OFFER_COLUMNS = ("device", "devices", "policy", "sessions", "money an hour", "why not")
SERVED_COLUMNS = ("figure over sessions", "p50", "p95", "p99")


def held_row(row: Held) -> tuple[str, ...]:
    """A policy under HELD_COLUMNS."""
    each = row.price_per_session_hour
    attained = row.served.attainment if row.served is not None and row.sessions else None
    return (
        row.policy,
        groups_text(row.groups),
        " / ".join(dict.fromkeys(f"{made.pattern} on {made.placement}" for made in row.stations)) or UNKNOWN,
        f"{row.sessions:,}",
        UNKNOWN if attained is None else _share(attained.p95),
        f"{row.price_per_hour:,.2f}",
        UNKNOWN if each is None else f"{each:,.2f}",
        row.verdict.text,
    )


def offer_row(offer: Offer) -> tuple[str, ...]:
    """A kind of device under OFFER_COLUMNS."""
    held = offer.held
    if held is None:
        return offer.device, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, offer.why
    return offer.device, f"{held.devices:,}", held.policy, f"{held.sessions:,}", f"{held.price_per_hour:,.2f}", ""


def served_rows(found: Served) -> Iterator[tuple[str, ...]]:
    """Under SERVED_COLUMNS; a figure that no session has is left out."""
    for name, seen, text in (
        ("waited, s", found.waited_us, _seconds),
        ("first frame after arrival, s", found.first_frame_us, _seconds),
        ("blocks in time", found.attainment, _share),
        ("fps seen", found.fps, _number),
        ("time stopped", found.stalled_share, _share),
        ("control to output, s", found.control_us, _seconds),
    ):
        if seen is not None:
            yield name, *(text(value) for value in _all(seen))


def served_notes(found: Served) -> Iterator[str]:
    """Who came and what it cost."""
    yield (
        f"{found.arrived:,} sessions came, {found.turned_away:,} were turned away; "
        f"{found.at_once:.1f} at once on average, {found.at_once_most:,} at most"
    )
    each = found.money_per_session_hour
    yield f"groups of devices: {groups_text(found.groups)}; money {found.money:,.2f}" + (
        "" if each is None else f", {each:,.2f} a session-hour"
    )
    if found.unshown:
        yield f"{found.unshown:,} prompt changes came after their session's last block was begun: nothing shows them"


def groups_text(sizes: Sequence[int]) -> str:
    """Groups by size: `2 x 4, 1 x 2`."""
    return ", ".join(f"{count} x {size}" for size, count in Counter(sizes).items()) or UNKNOWN


def _all(seen: Percentiles) -> tuple[float, float, float]:
    return seen.p50, seen.p95, seen.p99


def _seconds(us: float) -> str:
    return f"{us / 1e6:.2f}"


def _share(value: float) -> str:
    return f"{value:.2%}"


def _number(value: float) -> str:
    return f"{value:.2f}"
