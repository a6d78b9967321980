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


def judge(winner: str, gains: Mapping[str, Interval]) -> Verdict:
    """Put the comparison with the pure strategies into words.

    Args:
        winner: ``"mask"``, ``"keep_all"`` or ``"transfer_all"``: what was best on validation data.
        gains: Test gain of the winner over ``"keep_all"`` and ``"transfer_all"``; a baseline that diverged is missing
            and counts as beaten.
    """
    if winner == "transfer_all":
        return Verdict(
            "transfer_all_wins", "transfer everything: no mask was better on validation data"
        )
    if winner == "keep_all":
        return Verdict("keep_all_wins", "keep everything: no mask was better on validation data")
    names = {"keep_all": "keep-all", "transfer_all": "transfer-all"}
    beaten = [
        baseline
        for baseline in names
        if (gain := gains.get(baseline)) is None or (gain.low is not None and gain.low > 0)
    ]
    if len(beaten) == len(names):
        return Verdict("better_than_both", "better than transfer-all and keep-all")
    if beaten == ["transfer_all"]:
        return Verdict(
            "better_than_transfer_all",
            "better than transfer-all; no evidence of a gain over keep-all",
        )
    if beaten == ["keep_all"]:
        return Verdict(
            "better_than_keep_all", "better than keep-all; no evidence of a gain over transfer-all"
        )
    return Verdict("no_evidence", "no evidence of a gain over transfer-all or keep-all")
