"""The flags that describe a problem and its limits, and what they stand for; heavy imports wait until needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from executor.command import section
from executor.names import DEVICE, FILE, LINK, MODEL, PROFILE

if TYPE_CHECKING:
    from models.spec import ModelSpec
    from planner.cluster import Cluster
    from planner.objective import Limits
    from planner.problem import Problem
    from planner.profile import Profile

LIMITS = ("min_fps", "max_first_frame", "max_control", "max_devices", "max_money")
# Those of planner.objective, which --help need not import.
SHIPPED, DATA_SHEET = "shipped", "none"  # what --profile may name besides a file
OBJECTIVES = ("makespan", "period", "first-frame", "control", "devices", "money")

Command = Callable[..., None]


def problem_options(command: Command) -> Command:
    """A problem as a file, or as a few flags."""
    options = section(
        "Problem",
        click.option("--model", type=MODEL, help="A model's name or spec file, instead of a problem file."),
        click.option("--device", type=DEVICE, help="A device's kind.  [default: h100]"),
        click.option("--count", type=int, metavar="COUNT", help="How many devices.  [default: 1]"),
        click.option("--blocks", type=int, metavar="COUNT", help="Blocks of the clip.  [default: 7]"),
        click.option("--no-decode", is_flag=True, help="Leave the clip as latents."),
        click.option("--link", type=LINK, help="What joins devices.  [default: the usual]"),
        click.option("--per-node", type=int, metavar="COUNT", help="Devices in a node.  [default: all]"),
        click.option("--network", type=LINK, help="What joins nodes.  [default: infiniband-ndr]"),
        click.option("--encode-text", is_flag=True, help="Encoding the prompts is part of the clip."),
        click.option(
            "--switch",
            "switches",
            type=float,
            multiple=True,
            metavar="SECONDS",
            help="When the prompt changes; may be repeated.",
        ),
        click.option("--recache", is_flag=True, help="Sequential patterns re-cache at a prompt switch."),
        click.option(
            "--kv-transfer",
            type=click.Choice(["full", "fp8"]),
            help="How K/V travels between devices.  [default: full]",
        ),
        click.option(
            "--profile",
            "profile_file",
            type=PROFILE,
            help="Times to plan by: a measured profile or latencies by hand (a file), 'shipped', or 'none' for the "
            "data sheet.  [default: the file's; with flags 'shipped', if there is one]",
        ),
    )
    argument = click.argument("problem_file", metavar="[PROBLEM]", required=False, type=FILE)
    return argument(options(command))


def limit_options(command: Command) -> Command:
    """What a plan must keep to."""
    return section(
        "Limits",
        click.option("--min-fps", type=float, metavar="FPS", help="Least steady frames a second."),
        click.option("--max-first-frame", type=float, metavar="SECONDS", help="Most until the first frame."),
        click.option(
            "--max-control", type=float, metavar="SECONDS", help="Most from a change to the first frame it affects."
        ),
        click.option("--max-devices", type=int, metavar="COUNT", help="Most devices."),
        click.option("--max-money", type=float, metavar="MONEY", help="Most for a minute of video."),
    )(command)


def problem_of(problem_file: str | None, profile_file: str | None, **flags: Any) -> Problem:
    from planner.files import read_document
    from planner.problem import Problem
    from planner.shipped import with_shipped

    named = None if profile_file in (SHIPPED, DATA_SHEET) else profile_file
    if problem_file is None:
        problem = _problem_of_flags(named, **flags)
        # `with_shipped` leaves a profile that was named alone.
        return with_shipped(problem) if profile_file in (None, named) else _as_asked(problem, profile_file)
    clash = [name for name, value in flags.items() if value not in (None, False, ())]
    if clash:
        flag = "--switch" if clash[0] == "switches" else f"--{clash[0].replace('_', '-')}"
        raise input_error(f"{flag}: the problem file says that already; change the file or drop the flag")
    problem = read_document(Problem, problem_file)
    if named is None:
        return _as_asked(problem, profile_file)
    measured = profile_of(named, problem.model, problem.cluster)
    return Problem.from_data({**problem.model_dump(), "profile": measured.model_dump()}, problem_file)


def profile_of(path: str, spec: ModelSpec, cluster: Cluster) -> Profile:
    """The profile in a file, or the one that latencies written by hand come to."""
    from planner.latencies import Latencies, read_measured

    found = read_measured(path)
    return found.profile(spec, cluster.devices[0].kind) if isinstance(found, Latencies) else found


def _as_asked(problem: Problem, profile: str | None) -> Problem:
    """A file's problem stays as it is, unless it is asked for the profile that ships or for none."""
    from planner.shipped import with_shipped

    bare = problem.model_copy(update={"profile": None})
    if profile == SHIPPED:
        found = with_shipped(bare)
        if found.profile is None:
            kinds = ", ".join(sorted({device.kind for device in problem.cluster.devices}))
            raise input_error(f"--profile shipped: none ships for {problem.model.name} on {kinds}; measure one")
        return found
    return bare if profile == DATA_SHEET else problem


def _problem_of_flags(
    profile_file: str | None,
    *,
    model: str | None,
    device: str | None,
    count: int | None,
    blocks: int | None,
    no_decode: bool,
    link: str | None,
    per_node: int | None,
    network: str | None,
    encode_text: bool,
    switches: tuple[float, ...],
    recache: bool,
    kv_transfer: str | None,
) -> Problem:
    from models.find_spec import find_spec
    from planner.cluster import Cluster
    from planner.problem import Problem

    if model is None:
        raise input_error("name a problem file, or a model with --model (e.g. --model toy)")
    if recache and not switches:
        raise input_error("--recache: there is no prompt switch to re-cache at; add --switch SECONDS")
    if network is not None and (per_node is None or per_node >= (count or 1)):
        raise input_error("--network: joins nodes, and there is one; add --per-node COUNT, below --count")
    cluster = Cluster.of(device or "h100", 1 if count is None else count, link=link, per_node=per_node, network=network)
    workload = {
        "blocks": 7 if blocks is None else blocks,
        "decode": not no_decode,
        "encode_text": encode_text,
        "switches": [{"at_us": _microseconds("--switch", at), "recache": recache} for at in switches],
    }
    spec = find_spec(model)
    data = {
        "model": spec,
        "cluster": cluster,
        "workload": workload,
        "profile": None if profile_file is None else profile_of(profile_file, spec, cluster),
        "kv_transfer": kv_transfer or "full",
    }
    return Problem.from_data(data, "command line")


def limits_of(
    min_fps: float | None,
    max_first_frame: float | None,
    max_control: float | None,
    max_devices: int | None,
    max_money: float | None,
) -> Limits:
    from planner.objective import Limits

    data = {
        "fps": min_fps,
        "first_frame_us": None if max_first_frame is None else _microseconds("--max-first-frame", max_first_frame),
        "control_us": None if max_control is None else _microseconds("--max-control", max_control),
        "devices": max_devices,
        "money_per_minute": max_money,
    }
    return Limits.from_data(data, "limits")


def _microseconds(flag: str, seconds: float) -> int:
    if not 0 <= seconds < 10**7:
        raise input_error(f"{flag}: must be seconds from 0, not {seconds}")
    return round(seconds * 1e6)


def input_error(text: str) -> Exception:
    from planner.errors import InputError

    return InputError(text)
