"""Fitting a checkpoint to a network: names, shapes and types, with a report; then the tensors themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.checkpoints.conversion import (
    DTYPES,
    convert,
    is_sound,
    type_name,
    why_not_convertible,
)
from models.checkpoints.naming import Naming, NamingOptions, Shape, match_names
from models.checkpoints.report import LISTED, CheckpointReport, Mismatch
from models.checkpoints.shards import Checkpoint
from models.checkpoints.state import State
from models.tensor_names import NamedTensors
from search.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class FittedCheckpoint:
    """A checkpoint whose tensors have the names of a network.

    Attributes:
        checkpoint: On disk.
        network: Names and shapes; the network may be on the meta device.
        places: Names in the checkpoint by the network's, of those that the network knows; their shapes may differ.
        report: What became of the rest.
    """

    checkpoint: Checkpoint
    network: NamedTensors
    places: Mapping[str, str]
    report: CheckpointReport

    def shapes(self) -> dict[str, Shape]:
        """Shape in the checkpoint of every tensor that the network knows, tied ones under all their names."""
        headers = self.checkpoint.headers
        own = {name: headers[place].shape for name, place in self.places.items()}
        return own | {other: own[name] for other, name in self._untold().items()}

    def load(self) -> State:
        """Read what the network knows, in the network's types; a copy of what is on disk.

        Raises:
            InvalidInputError: A tensor has NaN or infinite values, a tied tensor has two values, or a file has changed.
        """
        dtypes = {name: tensor.dtype for name, tensor in self.network.network.state_dict().items()}
        names = {place: name for name, place in self.places.items()}
        state: State = {}
        for place, tensor in self.checkpoint.read(names):
            name = names[place]
            state[name] = self._converted(name, tensor, dtypes[name])
        self._check_tied(state)
        return state | {other: state[name] for other, name in self._untold().items()}

    def _converted(self, name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        place, first_name = self.places[name], self.network.aliases.get(name, name)
        try:
            converted = convert(tensor, dtype)
        except OverflowError as error:
            raise self._refusal(f"{place} with {error}", "numbers that fit") from error
        if not is_sound(converted, is_parameter=first_name in self.network.parameter_names):
            given = f"{place} with NaN or infinite values as {type_name(dtype)}"
            raise self._refusal(given, "finite weights")
        return converted

    def _untold(self) -> dict[str, str]:
        """Names of tied tensors that the checkpoint leaves out, by one under which it has them."""
        untold: dict[str, str] = {}
        for names in tied_names(self.network).values():
            told = [name for name in names if name in self.places]
            if told:
                untold |= {name: told[0] for name in names if name not in self.places}
        return untold

    def _check_tied(self, state: State) -> None:
        for names in tied_names(self.network).values():
            first, *others = [name for name in names if name in state] or [""]
            for other in others:
                if not torch.equal(state[first], state[other]):
                    raise self._refusal(
                        f"{self.places[first]} and {self.places[other]}, which differ",
                        "the same values: the network has one tensor for both",
                    )

    def _refusal(self, given: str, expected: str) -> InvalidInputError:
        checkpoint = self.checkpoint
        return InvalidInputError(checkpoint.field, f"{checkpoint.name}: {given}", expected)


def fit_checkpoint(
    checkpoint: Checkpoint, network: nn.Module, options: NamingOptions
) -> FittedCheckpoint:
    """Match the tensors of a checkpoint to those of a network; headers are enough.

    Args:
        checkpoint: Opened.
        network: The architecture; may be on the meta device.
        options: What may be done to names.

    Raises:
        InvalidInputError: Two tensors get one name, a renaming leads nowhere, or a tensor is of another kind of number.
    """
    state, tensors = network.state_dict(), NamedTensors(network)
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items()}
    given = {name: header.shape for name, header in checkpoint.headers.items()}
    naming = match_names(given, wanted, tensors.aliases, options)
    places = {new: name for name, new in naming.names.items() if new in wanted}
    dtypes = {name: state[name].dtype for name in places}
    converted = _conversions(checkpoint, places, dtypes)
    report = _report(checkpoint, tensors, naming, places, converted)
    return FittedCheckpoint(checkpoint, tensors, places, report)


def tied_names(tensors: NamedTensors) -> dict[str, list[str]]:
    """All names of each tied tensor by the first of them."""
    tied: dict[str, list[str]] = {}
    for alias, first in tensors.aliases.items():
        tied.setdefault(first, [first]).append(alias)
    return tied


def _conversions(
    checkpoint: Checkpoint, places: Mapping[str, str], dtypes: Mapping[str, torch.dtype]
) -> dict[str, int]:
    """How many tensors change their type from what to what, in words."""
    changes: Counter[str] = Counter()
    for name, place in places.items():
        given, wanted = checkpoint.headers[place].dtype, dtypes[name]
        if (reason := why_not_convertible(given, wanted)) is not None:
            raise InvalidInputError(
                checkpoint.field,
                f"{checkpoint.name} in which {place} is {reason}",
                f"weights of type {type_name(wanted)}, or of another that can be converted to it",
            )
        if DTYPES[given] != wanted:
            changes[f"{type_name(DTYPES[given])} to {type_name(wanted)}"] += 1
    return dict(sorted(changes.items()))


def _report(
    checkpoint: Checkpoint,
    tensors: NamedTensors,
    naming: Naming,
    places: Mapping[str, str],
    converted: dict[str, int],
) -> CheckpointReport:
    """Count a tied tensor once; it has another shape if it has one under any of its names."""
    tied = tied_names(tensors)
    missing: list[str] = []
    mismatched: list[Mismatch] = []
    for first, shape in tensors.shapes.items():
        told = [name for name in tied.get(first, [first]) if name in places]
        shapes = [checkpoint.headers[places[name]].shape for name in told]
        other = next((given for given in shapes if given != shape), None)
        if other is not None:
            mismatched.append(Mismatch(name=first, in_checkpoint=other, in_network=shape))
        elif not told:
            missing.append(first)
    renaming = naming.rule.in_words()
    if naming.renamed:
        renaming.insert(0, f"renamed {naming.renamed}")
    if naming.published:
        renaming.append(f"{naming.published} by names of published files")
    used = set(places.values())
    unexpected = [name for name in checkpoint.headers if name not in used]
    return CheckpointReport(
        path=checkpoint.name,
        files=len(checkpoint.files),
        renaming=tuple(renaming),
        converted=converted,
        n_tensors=len(tensors.shapes),
        n_matched=len(tensors.shapes) - len(missing) - len(mismatched),
        n_mismatched=len(mismatched),
        mismatched=tuple(mismatched[:LISTED]),
        n_missing=len(missing),
        missing=tuple(missing[:LISTED]),
        n_unexpected=len(unexpected),
        unexpected=tuple(unexpected[:LISTED]),
    )
