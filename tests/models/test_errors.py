"""The tree that `models.errors` draws is the tree it defines."""

from __future__ import annotations

import inspect

from models import errors
from models.errors import BlockcascadeError


def _drawn() -> dict[str, str]:
    """Each class that the docstring draws, and the one it hangs from."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        branch, _, name = line.rpartition("── ")
        name = name.split(" ")[0]
        if not name.endswith("Error"):
            continue
        depth = (len(branch) + 3) // 4
        path[depth:] = [name]
        if depth:
            parents[name] = path[depth - 1]
    return parents


def test_drawn_tree_is_the_defined_one() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, BlockcascadeError)]
    defined = {c.__name__: c.__bases__[0].__name__ for c in classes if c is not BlockcascadeError}
    assert _drawn() == defined
    assert len(defined) == 4
