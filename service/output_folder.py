"""The folder of a search that runs without a server: spec, ledger, result and artifacts."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.checkpoints import write_atomically
from search.errors import InvalidInputError
from service.job_files import RESULT

SPEC, LEDGER, LOCK = "spec.json", "ledger.jsonl", ".lock"


@contextmanager
def open_output_folder(folder: Path, spec: Mapping[str, Any]) -> Iterator[Path]:
    """Create the folder, or open that of the same spec to go on with it; one process at a time.

    Raises:
        InvalidInputError: Another search's spec lies there, or another process works there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidInputError(
                "output", folder, "a folder that no other running search writes to"
            ) from error
        _check_spec(folder, spec)
        yield folder


def write_result(folder: Path, result: Mapping[str, Any]) -> Path:
    """Write the result document and give its path."""
    path = folder / RESULT
    write_atomically(path, (json.dumps(result, indent=2) + "\n").encode())
    return path


def _check_spec(folder: Path, spec: Mapping[str, Any]) -> None:
    path = folder / SPEC
    if not path.exists():
        write_atomically(path, (json.dumps(spec, indent=2) + "\n").encode())
    elif json.loads(path.read_text(encoding="utf-8")) != spec:
        raise InvalidInputError(
            "output",
            folder,
            f"an empty folder, or that of this very spec (see {path}) to go on with it",
        )
