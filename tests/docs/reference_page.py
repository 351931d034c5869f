"""The Python names as a page: docstrings filled in by mkdocstrings, and a table of each value's fields."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tests.docs.public_names import PUBLIC

HEAD = """\
# Python

These names are public: they change only with a word in the changelog, and a test holds them. Import each from the
module named. All else may change at any time.
"""
LONG = 40


def reference_page() -> str:
    """The whole page, as Markdown."""
    return HEAD + "\n" + "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    for group, modules in PUBLIC.items():
        yield from (f"## {group[0].upper()}{group[1:]}", "")
        for module, names in modules.items():
            for name in names:
                found = getattr(importlib.import_module(module), name)
                if isinstance(found, type) and issubclass(found, BaseModel):
                    yield from _value(f"{module}.{name}", found)
                else:
                    yield from (f"::: {module}.{name}", "")


def _value(path: str, kind: type[BaseModel]) -> Iterator[str]:
    yield from (f"::: {path}", "    options:", "      members: false", "")
    yield from ("| field | type | usual | |", "|---|---|---|---|")
    written = inspect.get_annotations(kind)
    for name, field in kind.model_fields.items():
        if name != "schema_name":
            told = field.description or ""
            yield f"| `{name}` | `{_cell(str(written.get(name, '')))}` | {_usual(field)} | {_cell(told)} |"
    yield ""
    for name, member in vars(kind).items():
        public = isinstance(member, property | classmethod) or inspect.isfunction(member)
        if public and not name.startswith("_") and inspect.getdoc(getattr(kind, name)):
            yield from (f"::: {path}.{name}", "    options:", "      heading_level: 4", "")


def _usual(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    shown = repr(field.get_default(call_default_factory=True))
    return f"`{shown}`" if len(shown) <= LONG else "each as usual"


def _cell(text: str) -> str:
    return " ".join(text.split())
