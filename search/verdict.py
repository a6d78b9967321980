"""What the test data say about the winner, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from search.statistics import Interval

VerdictCode = Literal[
    "better_than_both",
    "better_than_transfer_all",
    "better_than_keep_all",
    "no_evidence",
    "transfer_all_wins",
    "keep_all_wins",
]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A stable code for programs and a sentence for people."""

    code: VerdictCode
    text: str


PURE = {"transfer_all": "transfer-all", "keep_all": "keep-all"}
CODES: dict[tuple[str, ...], VerdictCode] = {
    ("transfer_all", "keep_all"): "better_than_both",
    ("transfer_all",): "better_than_transfer_all",
    ("keep_all",): "better_than_keep_all",
    (): "no_evidence",
}


def judge(winner: str, gains: Mapping[str, Interval]) -> Verdict:
    """Put the comparison with the baselines into words.

    Args:
        winner: ``"mask"``, ``"keep_all"``, ``"transfer_all"`` or ``"best_prefix"``: what was best on validation data.
        gains: Test gain of the winner over ``"keep_all"``, ``"transfer_all"`` and ``"best_prefix"``; a baseline that
            did not train to the end is missing, and nothing is claimed about it.
    """
    if winner == "transfer_all":
        return Verdict(
            "transfer_all_wins", "transfer everything: no mask was better on validation data"
        )
    if winner == "keep_all":
        return Verdict("keep_all_wins", "keep everything: no mask was better on validation data")
    beaten = tuple(name for name in PURE if _is_beaten(gains.get(name)))
    unclear = [name for name in PURE if name in gains and name not in beaten]
    missing = [name for name in PURE if name not in gains]
    parts = []
    if beaten:
        parts.append("better than " + " and ".join(PURE[name] for name in beaten))
    if unclear:
        parts.append("no evidence of a gain over " + " or ".join(PURE[name] for name in unclear))
    parts += [f"{PURE[name]} did not train to the end" for name in missing]
    if winner == "best_prefix":
        parts.append("the mask is a prefix")
    elif "best_prefix" in gains:
        clear = _is_beaten(gains["best_prefix"])
        parts.append(
            "also better than the best prefix"
            if clear
            else "no evidence of a gain over the best prefix"
        )
    return Verdict(CODES[beaten], "; ".join(parts))


def _is_beaten(gain: Interval | None) -> bool:
    return gain is not None and gain.low is not None and gain.low > 0
