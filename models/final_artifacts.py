"""What final evaluations leave on disk: what every candidate says of the test samples, weights of the first replicate.

Written before the evaluation's ledger row, so that whatever a ledger holds is there.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.checkpoints import State, save_state, write_atomically
from models.scoring.answers import Answers
from models.scoring.predictions import Predictions
from search.evaluation import FINAL_REPLICATE, Candidate

# Counts for a test sample whose loss is not finite, in nats: validation data alone decide what has diverged.
WORST_LOSS = 1000.0
TARGET, SOURCE = "target", "source"

Arrays = dict[str, NDArray[Any]]


class FinalArtifacts:
    """Files of one job's final evaluations, named by the candidate's key."""

    def __init__(self, folder: Path) -> None:
        """Bind the folder; it is created when first written to."""
        self._folder = folder

    def write(self, candidate: Candidate, answers: Answers, row: int, state: State) -> None:
        """Write what one candidate says of the test part and, at the first final replicate, its weights.

        Args:
            candidate: Which.
            answers: Of a whole chunk.
            row: The candidate's in the chunk.
            state: The candidate's own.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if candidate.replicate == FINAL_REPLICATE:
            save_state(self.weights_path(candidate), state)
        arrays = _arrays(TARGET, answers.target, row)
        if answers.source is not None:
            arrays |= _arrays(SOURCE, answers.source, row)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type] # taken for allow_pickle
        write_atomically(self._path(candidate, "npz"), buffer.getvalue())

    def answers(
        self, candidates: Sequence[Candidate], labels: Tensor, source_labels: Tensor | None = None
    ) -> Answers:
        """Read what some candidates say of the test part, ``P`` of them; losses that are not finite are the worst.

        Args:
            candidates: All measured with these files.
            labels: Of the target task's test part, ``(N,)``, on the CPU.
            source_labels: Of the source task's, where it is judged.
        """
        files: list[Arrays] = []
        for candidate in candidates:
            with np.load(self._path(candidate, "npz"), allow_pickle=False) as file:
                files.append(dict(file))
        source = None if source_labels is None else _predictions(SOURCE, files, source_labels)
        return Answers(_predictions(TARGET, files, labels), source)

    def weights_path(self, candidate: Candidate) -> Path:
        """Where one candidate's weights are, if it is of the first final replicate."""
        return self._path(candidate, "safetensors")

    def _path(self, candidate: Candidate, suffix: str) -> Path:
        digest = hashlib.sha256(json.dumps(candidate.key).encode()).hexdigest()
        return self._folder / f"{digest[:24]}.{suffix}"


def _arrays(task: str, predictions: Predictions, row: int) -> Arrays:
    return {
        f"{task}_classes": predictions.classes[row].cpu().numpy(),
        f"{task}_losses": predictions.losses[row].cpu().numpy(),
        f"{task}_n_classes": np.array(predictions.n_classes),
    }


def _predictions(
    task: str, files: Sequence[Mapping[str, NDArray[Any]]], labels: Tensor
) -> Predictions:
    losses = np.stack([file[f"{task}_losses"] for file in files])
    return Predictions(
        classes=torch.from_numpy(np.stack([file[f"{task}_classes"] for file in files])),
        losses=torch.from_numpy(
            np.nan_to_num(losses, nan=WORST_LOSS, posinf=WORST_LOSS, neginf=WORST_LOSS)
        ),
        labels=labels,
        n_classes=int(files[0][f"{task}_n_classes"]),
    )
