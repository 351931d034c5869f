"""What neighbouring points of a grid share: a model on a kind of device, and all that was laid out for it so far."""

from __future__ import annotations

from typing import Any

from planner.cluster import DEVICES, Cluster, Device
from planner.errors import InputError
from planner.latencies import Latencies
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.profile import Profile
from planner.shipped import shipped_profile
from planner.sweeping.grid import DATA_SHEET, SHIPPED, Point, spec_at, spec_of
from planner.sweeping.held import Held, held_bytes, over_memory
from planner.sweeping.stream_clip import Laid, lay_out
from planner.workload import Workload


class Basis:
    """A model on as many devices of a kind as are asked for, with a memory of what was reckoned."""

    def __init__(self, point: Point, base: Problem | None) -> None:
        self.point, self.base = point, base
        self.spec = spec_at(point, base)
        self._native = (spec := spec_of(point.model, base)).latent_height, spec.latent_width
        self._problems: dict[int, Problem] = {}
        self._laid: dict[tuple[Pattern, Placement, int], Laid | str] = {}
        self._held: dict[tuple[Pattern, Placement, int], Held] = {}
        self._over: dict[tuple[Pattern, Placement, int], str] = {}
        self.known: dict[Any, Any] = {}  # what others reckon of it, by their own keys

    @property
    def device(self) -> Device:
        return self.problem(1).cluster.devices[0]

    def problem(self, count: int) -> Problem:
        """The problem on so many devices. Raises InputError if its parts do not go together."""
        if count not in self._problems:
            self._problems[count] = self._problem(count)
        return self._problems[count]

    def laid(self, pattern: Pattern, placement: Placement, count: int) -> Laid | str:
        """A stream's beginning on exactly so many devices, or why there is none; memory is not looked at."""
        key = pattern, placement, count
        if key not in self._laid:
            try:
                self._laid[key] = lay_out(self.problem(count), pattern, placement)
            except InputError as error:
                self._laid[key] = str(error)
        return self._laid[key]

    def held(self, pattern: Pattern, placement: Placement, count: int) -> Held:
        """How much memory each rank needs for what was laid out."""
        key = pattern, placement, count
        if key not in self._held:
            laid = self.laid(*key)
            assert not isinstance(laid, str), "what could not be laid out holds nothing"
            self._held[key] = held_bytes(laid)
        return self._held[key]

    def over_memory(self, pattern: Pattern, placement: Placement, count: int) -> str:
        """Which rank lacks memory for what was laid out, with the numbers; empty if none does."""
        key = pattern, placement, count
        if key not in self._over:
            laid = self.laid(*key)
            self._over[key] = laid if isinstance(laid, str) else over_memory(laid, self.held(*key))
        return self._over[key]

    def _problem(self, count: int) -> Problem:
        point, base = self.point, self.base
        workload = Workload(blocks=1) if base is None else base.workload
        decode = workload.decode if point.decode is None else point.decode
        kv_transfer = point.kv_transfer or ("full" if base is None else base.kv_transfer)
        cluster = self._cluster(count)
        data = {
            "model": self.spec,
            "cluster": cluster,
            "workload": workload.model_copy(update={"blocks": 1, "decode": decode}),
            "profile": self._profile(cluster),
            "kv_transfer": kv_transfer,
        }
        return Problem.from_data(data, "grid")

    def _cluster(self, count: int) -> Cluster:
        point, given = self.point, None if self.base is None else self.base.cluster
        own = given is not None and point.device is None
        device = given.devices[0] if given is not None and own else point.device
        # One that the catalog does not know has its link named: the kind stands in for its other parts only.
        named = device.kind if isinstance(device, Device) else device
        kind = named if named in DEVICES else "h100"
        link, per_node, network = point.link, point.per_node, point.network
        if given is not None:
            # Another kind of device brings its usual link, unless one is named.
            link = link or (given.link if own else None)
            per_node = per_node or (given.nodes[0] if given.nodes else None)
            network = network or given.network
        found = Cluster.of(kind, count, link=link, per_node=per_node, network=network)
        return found.model_copy(update={"devices": (device,) * count}) if isinstance(device, Device) else found

    def _profile(self, cluster: Cluster) -> Profile | None:
        asked = self.point.profile
        native = (self.spec.latent_height, self.spec.latent_width) == self._native
        if asked == DATA_SHEET:
            return None
        if asked is None and self.base is not None and self.base.profile is not None:
            return self.base.profile if native and self.base.profile.device == cluster.devices[0].kind else None
        if asked in (None, SHIPPED):
            return shipped_profile(self.spec.name, cluster) if native else None
        if not native:
            raise InputError(f"profile: measured at another size than {self.spec.pixel_width}x{self.spec.pixel_height}")
        assert not isinstance(asked, str | None), "a settled grid holds what its files say"
        if isinstance(asked, Latencies):
            return asked.profile(self.spec, cluster.devices[0].kind)
        found = asked
        if found.device != cluster.devices[0].kind:
            raise InputError(f"profile: measured on {found.device!r}, not on {cluster.devices[0].kind!r}")
        return found
