"""Everything that can go wrong with a model, by whose fault it is.

BlockcascadeError
└── ModelError            what is run cannot be run as asked
    ├── SpecError         a model's shapes contradict each other, or its name is unknown
    ├── CheckpointError   a weight file is missing, damaged or of another model
    └── PromptError       a prompt the model's text side cannot read
"""

from __future__ import annotations


class BlockcascadeError(Exception):
    """Base of every error a user can cause; its text says what is wrong and how to mend it."""


class ModelError(BlockcascadeError):
    """What is run cannot be run as asked."""


class SpecError(ModelError):
    """A model's shapes contradict each other, or its name is unknown."""


class CheckpointError(ModelError):
    """A weight file is missing, damaged or of another model."""


class PromptError(ModelError):
    """A prompt the model's text side cannot read."""
