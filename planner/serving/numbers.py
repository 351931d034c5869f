"""Random numbers by seed and name, so that what one thing draws never moves what another one does."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, name: str) -> np.random.Generator:
    """Always the same numbers for a seed and a name."""
    key = hashlib.blake2b(f"capacity/{seed}/{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key)))
