"""Everything that can go wrong while executing.

BlockcascadeError (models.errors)
└── ExecutorError
    ├── WorldError    the plan does not fit the ranks there are, or asks for what no rank can run
    ├── RankError     a rank failed; names the rank, its action and the cause
    ├── OutputError   frames cannot be handed on: the file, pipe or reader fails
    └── StateError    a run's folder cannot be used, or gone on from
"""

from __future__ import annotations

from models.errors import BlockcascadeError


class ExecutorError(BlockcascadeError):
    """Base of everything that can go wrong while executing."""


class WorldError(ExecutorError):
    """The plan does not fit the ranks there are, or asks for what no rank can run."""


class RankError(ExecutorError):
    """A rank failed; the text names the rank, its action and the cause."""


class OutputError(ExecutorError):
    """Frames cannot be handed on: the file, pipe or reader fails."""


class StateError(ExecutorError):
    """A run's folder cannot be used, or gone on from."""
