"""The public names are there, say what they are, and tell what they raise."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType

import pytest

import executor.errors
import models.errors
import planner.errors
from models.errors import BlockcascadeError
from tests.docs.public_names import PUBLIC, modules

NAMES = [f"{module}.{name}" for module, names in modules().items() for name in names]
ERRORS = {
    name
    for module in (models.errors, planner.errors, executor.errors)
    for name, found in vars(module).items()
    if isinstance(found, type) and issubclass(found, BlockcascadeError)
}


def found(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("path", NAMES)
def test_a_public_name_is_there_and_documented(path: str) -> None:
    thing = found(path)
    assert isinstance(thing, type | FunctionType)
    assert thing.__module__ == path.rpartition(".")[0] or path in REEXPORTED
    text = thing.__doc__ or ""
    assert len(text) > 15, f"{path}: says nothing"
    # What NamedTuple and dataclass write by themselves.
    assert not text.startswith(f"{thing.__name__}("), f"{path}: says nothing"


REEXPORTED = {"planner.whatif.Grid", "planner.whatif.Row", "planner.whatif.Sweep"}


@pytest.mark.parametrize("path", [path for path in NAMES if isinstance(found(path), FunctionType)])
def test_a_public_function_names_the_errors_it_raises(path: str) -> None:
    thing = found(path)
    assert isinstance(thing, FunctionType)
    missing = [name for name in raised(thing) if name not in (thing.__doc__ or "")]
    assert missing == [], f"{path}: its docstring does not name {', '.join(missing)}"


def test_no_name_is_listed_twice() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert sum(len(group) for group in PUBLIC.values()) == len(modules())


def test_raised_finds_what_a_function_raises_itself() -> None:
    def example(wrong: bool) -> None:
        if wrong:
            raise planner.errors.InputError("x")
        raise ValueError

    assert list(raised(example)) == ["InputError"]


def raised(function: Callable[..., object]) -> Iterator[str]:
    """Named errors in the function's own `raise` statements."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            called = node.exc.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in ERRORS:
                yield name
