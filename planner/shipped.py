"""Profiles that come with the software: `models/profiles/MODEL-DEVICE.json`, measured by `make bench-gpu`."""

from __future__ import annotations

from pathlib import Path

import models
from planner.cluster import Cluster
from planner.errors import InputError
from planner.files import read_document
from planner.problem import Problem
from planner.profile import Profile

FOLDER = Path(next(iter(models.__path__))) / "profiles"


def shipped_profile(model: str, cluster: Cluster, folder: Path | None = None) -> Profile | None:
    """The profile of a model on the cluster's kind of device, or None if there is none or there are several kinds.

    Its links are the cluster's, unless they were measured where it was taken. Raises InputError for a file that holds
    another profile than its name says.
    """
    kinds = {device.kind for device in cluster.devices}
    if len(kinds) > 1:
        return None
    (kind,) = kinds
    path = (folder or FOLDER) / profile_name(model, kind)
    if not path.is_file():
        return None
    found = read_document(Profile, str(path))
    if (found.model, found.device) != (model, kind):
        raise InputError(f"{path}: measured for {found.model!r} on {found.device!r}; name it as it was measured")
    if found.transfers:
        return found
    link = cluster.link
    given = {"latency_us": link.latency_us, "bandwidth_gbps": link.bandwidth_gbps, "sharing": link.sharing}
    return found.model_copy(update={f"link_{name}": value for name, value in given.items()})


def with_shipped(problem: Problem, folder: Path | None = None) -> Problem:
    """The problem with the profile that ships for it; itself if it has one already, or none ships."""
    if problem.profile is not None:
        return problem
    found = shipped_profile(problem.model.name, problem.cluster, folder)
    return problem if found is None else Problem.from_data({**problem.model_dump(), "profile": found}, "shipped")


def profile_name(model: str, kind: str) -> str:
    return f"{model}-{kind}.json"


def source_of_times(problem: Problem) -> str:
    """Where a plan's times come from, in a line."""
    profile = problem.profile
    if profile is None:
        kinds = " and ".join(sorted({device.kind for device in problem.cluster.devices}))
        return f"times: reckoned from the data sheet of {kinds}; measure with 'blockcascade profile' for better ones"
    where = f" ({profile.device_name})" if profile.device_name else ""
    when = f", {profile.taken}" if profile.taken else ""
    lacks = f"; {len(profile.missing)} point(s) could not be measured" if profile.missing else ""
    link = "" if profile.transfers else "; links as in a data sheet or given"
    return f"times: profile of {profile.model} on {profile.device}{where}, {profile.software}{when}{link}{lacks}"
