"""Everything that can go wrong while executing.

BlockcascadeError (models.errors)
└── ExecutorError
    ├── WorldError    the ranks there are do not fit the plan
    └── RankError     a rank failed; names the rank, its action and the cause
"""

from __future__ import annotations

from models.errors import BlockcascadeError


class ExecutorError(BlockcascadeError):
    """Base of everything that can go wrong while executing."""


class WorldError(ExecutorError):
    """The ranks there are do not fit the plan."""


class RankError(ExecutorError):
    """A rank failed; the text names the rank, its action and the cause."""
