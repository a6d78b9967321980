"""What a spec may reach outside of itself: the operator decides, never the spec."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from models.inputs import InputFolder
from models.uploads import UploadFolder


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything beside a spec that opening its parts may use.

    Attributes:
        inputs: Where files named in the spec lie.
        cache: Where data that take long to prepare (tokenised, resized) are kept by their content, or None.
        may_download: Whether a spec may name what other machines have.
        factories: Python functions that a spec may have called: ``package.module:function``, or ``package.module:*``
            for every one of a module.
        uploads: Files that users sent, by id; None where there is no data directory.
    """

    inputs: InputFolder
    cache: Path | None = None
    uploads: UploadFolder | None = None
    may_download: bool = False
    factories: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> Surroundings:
        """Files below one folder, nothing else."""
        return cls(InputFolder(folder))


# For a spec that names nothing outside of itself; there is no file below this.
NOTHING = Surroundings.of(Path(os.devnull))
