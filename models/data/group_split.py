"""Parts that share no group: several samples of one person, one document, one machine stay together.

scikit-learn's ``StratifiedGroupKFold`` makes many small folds of whole groups, every class in proportion as well as
groups allow; parts are put together of folds.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.randomness import derive_seed
from search.errors import DataError

Rows = NDArray[np.int64]
# More folds follow the sizes more closely, fewer follow the classes.
MAX_FOLDS = 20
# Beyond these, groups are put together at random first: time grows with groups times folds, 0.1 ms each.
MAX_UNITS = 500
# Folds are drawn greedily; another draw may succeed where one leaves a class out.
ATTEMPTS = 10


def split_by_group(
    labels: Rows,
    groups: Sequence[str],
    sizes: Mapping[str, int],
    seed: int,
    field: str,
    names: Sequence[str] | None = None,
) -> dict[str, Rows]:
    """Choose the samples of each part, no group in two parts.

    Sizes are upper bounds: a part of whole groups that has too many samples is thinned out, every class in proportion;
    one that has too few stays smaller.

    Args:
        labels: ``(N,)``.
        groups: ``(N,)``.
        sizes: Of each part by name, each at least 1.
        seed: Of the choice.
        field: Where the source stood in the spec, for errors.
        names: Of the classes, for errors.

    Returns:
        Indices by part, ascending.

    Raises:
        DataError: There are too few groups, of all samples or of one class; names both numbers.
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    _check_enough_groups(labels, numbers, len(sizes), field, names)
    classes = np.unique(labels)
    for attempt in range(ATTEMPTS):
        folds = _folds(labels, numbers, derive_seed(seed, "groups", attempt))
        parts = _of_folds(folds, labels, sizes)
        if all(np.isin(classes, labels[rows]).all() for rows in parts.values()):
            return {
                name: _thinned(rows, labels, sizes[name], derive_seed(seed, "thinning", name))
                for name, rows in parts.items()
            }
    raise DataError(
        f"{field}.group",
        f"{numbers.max() + 1} groups of which no draw put every class into every part",
        f"more groups of each class, or parts of other sizes than {dict(sizes)}",
    )


def group_mates(rows: Rows, groups: Sequence[str] | None) -> Rows:
    """All samples of the groups that some samples belong to; the samples themselves where there are no groups."""
    if groups is None:
        return rows
    every = np.asarray(groups)
    return np.flatnonzero(np.isin(every, every[rows]))


def _check_enough_groups(
    labels: Rows, numbers: Rows, n_parts: int, field: str, names: Sequence[str] | None
) -> None:
    n_groups = int(numbers.max()) + 1
    if n_groups < n_parts:
        raise DataError(
            f"{field}.group", f"{n_groups} groups", f"at least {n_parts}, one for each part"
        )
    for label in np.unique(labels):
        own = len(np.unique(numbers[labels == label]))
        if own < n_parts:
            shown = repr(names[label]) if names is not None else label
            raise DataError(
                f"{field}.group",
                f"class {shown} in {own} groups",
                f"every class in at least {n_parts}, one for each part",
            )


def _folds(labels: Rows, numbers: Rows, seed: int) -> list[Rows]:
    """Indices of the samples of each fold; folds share no group."""
    # Takes a second to load, and processes that only measure never split.
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415

    # It refuses more folds than the largest class has samples.
    n_folds = min(MAX_FOLDS, int(numbers.max()) + 1, int(np.bincount(labels).max()))
    if n_folds < 2:
        return [np.arange(len(labels))]
    units = np.random.default_rng(seed).permutation(numbers.max() + 1) % MAX_UNITS
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        # It says that a class has fewer samples than there are folds; parts are checked instead.
        warnings.simplefilter("ignore", UserWarning)
        found = [rows for _, rows in folds.split(labels, labels, units[numbers])]
    return [rows for rows in found if len(rows) > 0]


def _of_folds(folds: Sequence[Rows], labels: Rows, sizes: Mapping[str, int]) -> dict[str, Rows]:
    """Give each fold to the part that lacks most of what it holds, until no part lacks any.

    Rare classes first, as in iterative stratification (Sechidis, Tsoumakas and Vlahavas, "On the Stratification of
    Multi-Label Data", ECML PKDD 2011).
    """
    totals = np.bincount(labels)
    wanted = {name: np.maximum(size * totals / len(labels), 1e-9) for name, size in sizes.items()}
    lacking = {name: own.copy() for name, own in wanted.items()}
    counts = [np.bincount(labels[rows], minlength=len(totals)) for rows in folds]
    chosen: dict[str, list[Rows]] = {name: [] for name in sizes}

    def rarest_first(fold: int) -> tuple[int, int]:
        return int(totals[counts[fold] > 0].min()), -len(folds[fold])

    for fold in sorted(range(len(folds)), key=rarest_first):
        open_parts = [name for name in sizes if lacking[name].sum() > 0]
        if not open_parts:
            break
        share = counts[fold] / np.maximum(totals, 1)
        name = max(open_parts, key=lambda part: float(share @ (lacking[part] / wanted[part])))
        chosen[name].append(folds[fold])
        lacking[name] -= counts[fold]
    empty = np.zeros(0, dtype=np.int64)
    return {name: np.sort(np.concatenate([empty, *rows])) for name, rows in chosen.items()}


def _thinned(rows: Rows, labels: Rows, size: int, seed: int) -> Rows:
    """Keep so many samples of a part, every class in proportion and at least once."""
    order = np.random.default_rng(seed).permutation(rows)
    # How far through its class each sample comes: the first of every class before the second of any.
    place = np.zeros(len(order))
    for label in np.unique(labels[order]):
        own = np.flatnonzero(labels[order] == label)
        place[own] = np.arange(len(own)) / len(own)
    return np.sort(order[np.argsort(place, kind="stable")[:size]])
