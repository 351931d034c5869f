"""Model, cluster and workload: all that a plan depends on."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, Self

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from models.spec import ModelSpec
from planner.cluster import Cluster
from planner.profile import Profile
from planner.value import Document, as_before
from planner.workload import Workload

SCALE_BYTES = 4  # of packed K/V: one scale for each layer, head, and K or V of a payload


class Problem(Document):
    """What is given. Its digest names it in every plan, and a plan is refused with any other problem.

    Without a profile, durations come from a roofline over the devices' data sheets. `kv_transfer` "fp8": K/V travels as
    8-bit floats (models.kv_pack) and is held in full; what packing itself takes is not reckoned with. Only K/V sent in
    full makes the reference's video bit for bit.
    """

    schema_name: Literal["blockcascade.problem/1"] = "blockcascade.problem/1"
    model: ModelSpec
    cluster: Cluster
    workload: Workload
    profile: Profile | None = None
    kv_transfer: Literal["full", "fp8"] = "full"

    def _repr_html_(self) -> str:
        """What a notebook shows: model, cluster and workload in a few lines."""
        from planner.pictures.inline import summary

        spec, work = self.model, self.workload
        kinds = Counter(device.kind for device in self.cluster.devices)
        devices = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
        steps = f"{spec.layers} layers, {spec.steps} steps"
        clean = " and a clean pass" if spec.clean_pass else ""
        switches = f", {len(work.switches)} prompt switch(es)" if work.switches else ""
        facts = (
            (
                "model",
                f"{spec.name}: {steps}{clean}, window {spec.window_blocks} blocks",
            ),
            (
                "cluster",
                f"{devices}, joined by {self.cluster.link.kind}",
            ),
            ("workload", f"{work.blocks} blocks, {'decoded' if work.decode else 'left as latents'}{switches}"),
            ("times", "a roofline over data sheets" if self.profile is None else self.profile.software),
        )
        return summary("Problem", facts)

    def kv_sent_bytes(self, frames: int) -> int:
        """Bytes of the K/V of so many latent frames, in one piece, on its way from one device to another."""
        spec, full = self.model, frames * self.model.kv_bytes_per_frame
        if self.kv_transfer == "full":
            return full
        return full // spec.activation_bytes_per_number + SCALE_BYTES * 2 * spec.layers * spec.heads

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return as_before(self, handler(self), "kv_transfer")

    @model_validator(mode="after")
    def _profile_belongs(self) -> Self:
        if self.profile is not None and self.profile.model != self.model.name:
            raise ValueError(f"profile: measured for {self.profile.model!r}, the model is {self.model.name!r}")
        if self.profile is not None and self.model.clean_pass and not self.profile.clean:
            raise ValueError("profile: has no clean pass, the model has one")
        return self
