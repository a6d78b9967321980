"""Random streams: one per purpose and replicate, derived from the job's seed, never one per candidate.

Candidates at one replicate share every draw (common random numbers), so their scores differ by their masks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Give the seed of one stream, 0 to 2^63 - 1; different purposes give unrelated streams."""
    digest = hashlib.sha256(json.dumps([seed, *purpose]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Give a CPU generator at the start of one stream."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


@contextmanager
def seeded_torch(seed: int, *purpose: str | int) -> Iterator[None]:
    """Run a block with torch's global generators at the start of one stream, and restore them afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, *purpose))
        yield
