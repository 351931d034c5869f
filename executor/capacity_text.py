"""What the capacity command shows: the answer, a table of policies, and what breaks first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from planner.capacity import Answer, Fit
from planner.conditions import Conditions
from planner.serving.cheapest import Cheapest, Offer
from planner.serving.demand import Demand
from planner.serving.goal import Goal
from planner.serving.held import Held
from planner.serving.outcome import Percentiles, Served

NONE = "-"

HELD_COLUMNS = (
    "policy",
    "groups",
    "pattern, placement",
    "fps",
    "fit in memory",
    "sessions",
    "first frame s",
    "in time",
    "busy",
    "money a session-hour",
    "breaks first",
)
FIT_COLUMNS = (
    "policy", "devices", "turned away", "waited s", "first frame s", "in time", "fps", "control s", "at once", "busy",
    "money a session-hour", "verdict",
)  # fmt: skip
OFFER_COLUMNS = ("device", "devices", "policy", "sessions", "first frame s", "in time", "money an hour", "why not")


def held_answer(answer: Answer) -> str:
    """The answer to how many sessions a cluster holds, in a line."""
    best, where = answer.best, f"{answer.devices} x {answer.device}"
    at = f"{answer.model} at {answer.fps:g} fps"
    if not best.sessions:
        why = best.verdict.text.removeprefix("0 sessions: ")
        return f"{where}: 0 sessions of {at}; nearest is {best.policy}: {why}"
    spare = answer.devices - best.devices
    left = f" ({_count(spare, 'device')} left over)" if spare else ""
    price = f", money {best.price_per_session_hour:.2f} a session-hour" if best.price_per_session_hour else ""
    return f"{where}: {_count(best.sessions, 'session')} of {at} by policy {best.policy}{left}{price}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def held_row(row: Held, frames: int) -> tuple[str, ...]:
    """One policy of the table; `frames`: pixel frames of a block."""
    made = " / ".join(dict.fromkeys(f"{each.pattern}, {each.placement}" for each in row.stations))
    served = row.served if row.sessions else None
    return (
        row.policy,
        _groups(row.groups),
        made or NONE,
        " / ".join(f"{frames * 1e6 / each.period_us:.1f}" for each in row.stations) or NONE,
        " / ".join(str(each.memory.sessions) for each in row.stations) or NONE,
        str(row.sessions),
        *_seen(served),
        _busy(served),
        NONE if row.price_per_session_hour is None else f"{row.price_per_session_hour:.2f}",
        row.verdict.binds,
    )


def breaking(answer: Answer) -> Iterator[str]:
    """What breaks first under the best policy, what one more session would do, and why others hold none."""
    verdict = answer.best.verdict
    more = f"; {verdict.one_more}" if verdict.one_more else ""
    yield f"what breaks first ({answer.best.policy}): {verdict.text}{more}"
    none: dict[str, list[str]] = {}
    for row in answer.rows[1:]:
        if not row.sessions and row.verdict.binds != "rate":
            none.setdefault(row.verdict.text, []).append(row.policy)
    for text, policies in none.items():
        yield f"{', '.join(policies)}: {text}"


def _groups(sizes: Sequence[int]) -> str:
    if not sizes:
        return NONE
    return "+".join(map(str, sizes)) if len(set(sizes)) != 1 else f"{len(sizes)} x {sizes[0]}"


def fit_answer(fits: Sequence[Fit], demand: Demand, where: str) -> str:
    """The answer to whether a demand is served as asked, in a line."""
    arrivals, best = demand.arrivals, fits[0]
    asked = {
        "all": f"{_count(arrivals.sessions, 'session')} at once",
        "poisson": f"{arrivals.per_hour or 0:g} sessions an hour",
        "trace": f"the file's {_count(arrivals.sessions, 'session')}",
    }[arrivals.kind]
    if best.kept:
        return f"{where}: {asked} served as asked by policy {best.policy} on {_count(best.served.devices, 'device')}"
    return f"{where}: {asked} not served as asked; nearest is {best.policy}: {best.verdict.text}"


def fit_limit(fit: Fit) -> str:
    """What the first policy makes of the demand, and of Poisson arrivals how many it would bear."""
    most = "" if fit.most_per_hour is None else f"; it would serve about {fit.most_per_hour:.3g} sessions an hour so"
    return f"{fit.policy}: {fit.verdict.text}{most}"


def fit_row(fit: Fit) -> tuple[str, ...]:
    """One policy of the table of a demand."""
    served = fit.served
    first, in_time = _seen(served)
    return (
        fit.policy,
        str(served.devices),
        f"{served.turned_away} of {served.arrived}",
        _seconds(served.waited_us),
        first,
        in_time,
        NONE if served.fps is None else f"{served.fps.p95:.2f}",
        _control(served),
        f"{served.at_once:.1f} (most {served.at_once_most})",
        _busy(served),
        NONE if served.money_per_session_hour is None else f"{served.money_per_session_hour:.2f}",
        fit.verdict.binds if not fit.kept else "as asked",
    )


def offer_answer(found: Cheapest, model: str, fps: float) -> str:
    """The answer to what holds so many sessions, in a line or two."""
    money, few = found.least_money, found.fewest_devices
    asked = f"{_count(found.sessions, 'session')} of {model} at {fps:g} fps"
    if money is None or few is None:
        return f"{asked}: no kind of device that was tried holds them"
    lines = [f"{asked}: least money {_offered(money)}"]
    if few.device != money.device:
        lines.append(f"fewest devices: {_offered(few)}")
    return "\n".join(lines)


def _offered(offer: Offer) -> str:
    assert offer.held is not None
    return f"{offer.devices} x {offer.device} by policy {offer.held.policy}, money {offer.price_per_hour:.2f} an hour"


def offer_row(offer: Offer) -> tuple[str, ...]:
    """One kind of device of the table."""
    held = offer.held
    if held is None:
        return (offer.device, NONE, NONE, NONE, NONE, NONE, NONE, offer.why)
    return (
        offer.device,
        str(offer.devices),
        held.policy,
        str(held.sessions),
        *_seen(held.served),
        f"{offer.price_per_hour:.2f}",
        "",
    )


def basis(goal: Goal, demand: Demand, conditions: Conditions) -> str:
    """What the figures rest on, in a line or two."""
    player, lengths = conditions.player, demand.lengths
    spread = conditions.jitter.passes.sigma
    queue = "any number" if player.queue_blocks is None else f"at most {player.queue_blocks}"
    length = "of the file" if demand.arrivals.kind == "trace" else f"{lengths.seconds:g} s ({lengths.kind})"
    return (
        f"held: 95 % of the sessions get {100 * goal.attainment:.4g} % of their blocks in time; "
        "first frame, in time: p95 over sessions\n"
        f"played: sessions {length}, viewers start with {_count(player.start_blocks, 'block')} and let {queue} wait, "
        f"block times vary by {spread:.0%} (--jitter), seed {conditions.seed}"
    )


def _seen(served: Served | None) -> tuple[str, str]:
    if served is None or served.attainment is None:
        return NONE, NONE
    return _seconds(served.first_frame_us), f"{100 * served.attainment.p95:.4g} %"


def _seconds(figure: Percentiles | None) -> str:
    return NONE if figure is None else f"{figure.p95 / 1e6:.2f}"


def _control(served: Served) -> str:
    return _seconds(served.control_us) + (f" ({served.unshown} never shown)" if served.unshown else "")


def _busy(served: Served | None) -> str:
    if served is None or not served.busy:
        return NONE
    least, most = min(served.busy), max(served.busy)
    return f"{least:.0%}" + (f"..{most:.0%}" if most - least > 0.01 else "")
