"""The fewest devices and the least money that hold a number of sessions, over kinds of device."""

from __future__ import annotations

from planner.serving.held import Held
from planner.serving.shown import OFFER_COLUMNS, offer_row
from planner.value import Value


class Offer(Value):
    """What one kind of device needs for the sessions; `held` is None if no number that was tried holds them."""

    device: str
    held: Held | None
    why: str = ""

    @property
    def devices(self) -> int | None:
        return None if self.held is None else self.held.devices

    @property
    def price_per_hour(self) -> float | None:
        return None if self.held is None else self.held.price_per_hour


class Cheapest(Value):
    """Offers for a number of sessions, least money first; those that do not hold them last."""

    sessions: int
    offers: tuple[Offer, ...]

    def _repr_html_(self) -> str:
        """What a notebook shows: a row for each kind of device."""
        from planner.pictures.inline import Table, listing

        title = f"{self.sessions:,} session{'s' * (self.sessions > 1)} at once"
        return listing(title, Table(OFFER_COLUMNS, map(offer_row, self.offers)))

    @property
    def least_money(self) -> Offer | None:
        kept = [offer for offer in self.offers if offer.held is not None]
        return kept[0] if kept else None

    @property
    def fewest_devices(self) -> Offer | None:
        kept = [offer for offer in self.offers if offer.held is not None]
        return min(kept, key=lambda offer: (offer.devices, offer.price_per_hour), default=None)
