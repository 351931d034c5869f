"""Model, cluster and workload: all that a plan depends on."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from models.spec import ModelSpec
from planner.cluster import Cluster
from planner.profile import Profile
from planner.value import Document
from planner.workload import Workload


class Problem(Document):
    """What is given. Its digest names it in every plan, and a plan is refused with any other problem.

    Without a profile, durations come from a roofline over the devices' data sheets.
    """

    schema_name: Literal["blockcascade.problem/1"] = "blockcascade.problem/1"
    model: ModelSpec
    cluster: Cluster
    workload: Workload
    profile: Profile | None = None

    @model_validator(mode="after")
    def _profile_belongs(self) -> Self:
        if self.profile is not None and self.profile.model != self.model.name:
            raise ValueError(f"profile: measured for {self.profile.model!r}, the model is {self.model.name!r}")
        if self.profile is not None and self.model.clean_pass and not self.profile.clean:
            raise ValueError("profile: has no clean pass, the model has one")
        return self
