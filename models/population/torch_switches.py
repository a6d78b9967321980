"""Switches of torch, for the whole process, that a population needs in another position."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

import torch

from models.population.batched import set_slow_rule_warnings


class _Off:
    """Keeps one switch off while any thread needs it off."""

    def __init__(self, read: Callable[[], bool], write: Callable[[bool], None]) -> None:
        self._read, self._write = read, write
        self._lock, self._users, self._before = Lock(), 0, True

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = self._read()
                self._write(False)
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._write(self._before)


_fast_paths = _Off(torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled)
# Torch does not tell this switch's position; on is how it starts.
_warnings = _Off(lambda: True, set_slow_rule_warnings)


@contextmanager
def fast_paths_off() -> Iterator[None]:
    """Have ``nn.MultiheadAttention`` and ``nn.TransformerEncoder`` call their children.

    In evaluation mode they would read the children's weights instead, and call a kernel that ``vmap`` has no rule for.
    """
    _fast_paths.enter()
    try:
        yield
    finally:
        _fast_paths.leave()


@contextmanager
def slow_rules_unmentioned() -> Iterator[None]:
    """Let ``vmap`` call a function candidate by candidate without a warning: what is slow, the plan probe measures."""
    _warnings.enter()
    try:
        yield
    finally:
        _warnings.leave()
