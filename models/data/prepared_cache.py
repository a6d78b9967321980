"""Data that took long to prepare (tokenised, resized), kept in files named by what they were made of.

A file can be deleted at any time: what is missing or broken is made anew.  The folder keeps what was used last, up to
``MAX_BYTES``.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.checkpoints import flush_to_disk

MAX_BYTES = 10 << 30
# What a killed process left behind is not being written any more.
_ABANDONED_SECONDS = 24 * 3600
_FOLDER, _SUFFIX, _PARTIAL = "prepared", ".safetensors", ".partial"
_DIGEST = "digest"

_log = logging.getLogger(__name__)

Tensors = dict[str, Tensor]


def content_key(parts: Iterable[str]) -> str:
    """Give the name of what is made of some parts, in order: SHA-256 over each with its length."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode()
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()


class PreparedCache:
    """Tensors by key.  Several processes may use one folder at once."""

    def __init__(self, folder: Path | None, max_bytes: int = MAX_BYTES) -> None:
        """Bind the folder, which need not exist; without one everything is made anew."""
        self._folder = None if folder is None else folder / _FOLDER
        self._max_bytes = max_bytes

    def get(self, key: str, make: Callable[[], Tensors]) -> Tensors:
        """Read what was kept under a key, or make it and keep it.

        Args:
            key: Names everything that the result depends on.
            make: Makes it; called at most once.
        """
        if self._folder is None:
            return make()
        path = self._folder / f"{key}{_SUFFIX}"
        kept = _read(path)
        if kept is None:
            kept = make()
            try:
                self._write(path, kept)
            except OSError as error:
                # A full disk is no reason not to go on with what is there.
                _log.warning("prepared data are not kept: %s", error)
        return kept

    def _write(self, path: Path, tensors: Tensors) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._make_room(sum(tensor.nbytes for tensor in tensors.values()))
        # A name of its own: another process may be making the same thing.
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=".", suffix=_PARTIAL, delete=False
        ) as file:
            temporary = Path(file.name)
        try:
            save_file(tensors, temporary, metadata={_DIGEST: _digest(tensors)})
            flush_to_disk(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Delete what was not used for longest until there is room, and what was never finished."""
        assert self._folder is not None
        files = []
        for path in self._folder.iterdir():
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if path.suffix == _SUFFIX:
                files.append((status.st_mtime, status.st_size, path))
            elif path.suffix == _PARTIAL and status.st_mtime < time.time() - _ABANDONED_SECONDS:
                path.unlink(missing_ok=True)
        total = size + sum(used for _, used, _ in files)
        for _, used, path in sorted(files):
            if total <= self._max_bytes:
                return
            # Who is reading it keeps what is mapped.
            path.unlink(missing_ok=True)
            total -= used


def _read(path: Path) -> Tensors | None:
    """The tensors of a file; None if there is none, or it is not what was written."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            expected = (file.metadata() or {}).get(_DIGEST)
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError) as error:
        _log.warning("%s is made anew: %s", path, error)
        return None
    if _digest(tensors) != expected:
        _log.warning("%s is made anew: its content has changed", path)
        return None
    try:
        os.utime(path)
    except OSError:
        # It was deleted meanwhile, or belongs to somebody else; either does no harm.
        _log.debug("%s cannot be marked as used", path)
    return tensors


def _digest(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
