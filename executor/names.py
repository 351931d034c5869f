"""What arguments stand for: files, and the names that are built in; a shell completes them.

What completes a name is imported only when a shell asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

import click
from click.shell_completion import CompletionItem

Known = Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]]
SPLIT = ("none", "ulysses:2", "ulysses:4", "tensor:2", "tensor:4")


class Place(click.types.StringParamType):
    """A path that the command itself opens, so that its errors are told as all others are."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type=self.kind)]


class Name(click.types.StringParamType):
    """A name of those known, each with a word about it; others may be right too. `many`: several, between commas.

    `known` gets what the command line has said so far.
    """

    def __init__(self, name: str, known: Known, *, many: bool = False, or_file: bool = False) -> None:
        self.name, self.known, self.many, self.or_file = name, known, many, or_file

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        before, comma, begun = incomplete.rpartition(",") if self.many else ("", "", incomplete)
        found = [
            CompletionItem(f"{before}{comma}{name}", help=told)
            for name, told in self.known(ctx.params)
            if name.startswith(begun)
        ]
        return found or ([CompletionItem(incomplete, type="file")] if self.or_file else [])

    def several(self) -> Name:
        """The same, for a list between commas."""
        return Name(self.name + "s", self.known, many=True, or_file=self.or_file)


def _models(_: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    from models.catalog import CATALOG

    return [(name, spec.source) for name, spec in CATALOG.items()]


def _devices(_: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    from planner.cluster import DEVICES

    return [(kind, device.source.partition(";")[0]) for kind, device in DEVICES.items()]


def _links(_: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    from planner.cluster import LINKS

    return [(kind, link.source) for kind, link in LINKS.items()]


def _patterns(given: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    from models.errors import SpecError
    from models.find_spec import find_spec
    from planner.patterns import all_patterns, tolerates

    model: Any = given.get("model")
    try:
        spec = find_spec(str(model or "toy").partition(",")[0])
    except SpecError:
        return []
    found = all_patterns(spec)
    if model is None:
        return [(str(pattern), "") for pattern in found]
    # Those the checkpoint bears first; the sort is stable.
    return sorted(
        ((str(p), f"{spec.name} tolerates it" if tolerates(spec, p) else "not known to be tolerated") for p in found),
        key=lambda item: item[1].startswith("not"),
    )


def _placements(_: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    from planner.placement import PassPlacement

    return [(f"{name}{apart}", "") for name in get_args(PassPlacement) for apart in ("", "+decoder")]


def _profiles(_: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return [("shipped", "the one that comes with the software"), ("none", "the data sheet")]


def _splits(_: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return [(name, "") for name in SPLIT]


FILE, FOLDER = Place("file", "file"), Place("folder", "dir")
MODEL = Name("model", _models, or_file=True)
DEVICE, LINK = Name("device", _devices), Name("link", _links)
PATTERN, PLACEMENT = Name("pattern", _patterns), Name("placement", _placements)
PROFILE, PARALLEL = Name("profile", _profiles, or_file=True), Name("parallel", _splits)
