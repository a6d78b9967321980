"""What the test data say about the winner, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
PURE_WINS: dict[str, tuple[VerdictCode, str]] = {
    "transfer_all": ("transfer_all_wins", "transfer everything"),
    "keep_all": ("keep_all_wins", "keep everything"),
}


def judge(winner: str, gains: Mapping[str, Interval]) -> Verdict:
    """Put the comparison with the baselines into words.

    A claim needs an interval above 0.  Each is wrong in at most 2.5 of 100 searches without any effect, because the
    winner was chosen on other draws; so one of the two claims over keep-all and transfer-all, which make the code, is
    wrong in at most 5 of 100 (Bonferroni), and nothing needs to be adjusted.

    Args:
        winner: ``"mask"``, ``"keep_all"``, ``"transfer_all"`` or ``"best_prefix"``: what the race chose on validation
            data.
        gains: Test gain of the winner over ``"keep_all"``, ``"transfer_all"`` and ``"best_prefix"``, over itself 0; a
            baseline that did not train to the end is missing, and nothing is claimed about it.
    """
    compared = [gain for name, gain in gains.items() if name != winner]
    if compared and all(gain == Interval(0.0, 0.0, 0.0) for gain in compared):
        return Verdict(
            "no_evidence",
            "every mask scored alike on every test sample: no evidence that it matters what is transferred",
        )
    if winner in PURE:
        return _judge_pure(winner, gains)
    beaten = tuple(name for name in PURE if _is_beaten(gains.get(name)))
    parts = []
    if beaten:
        parts.append("better than " + " and ".join(PURE[name] for name in beaten))
    parts += _not_beaten(gains, [name for name in PURE if name not in beaten])
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


def _judge_pure(winner: str, gains: Mapping[str, Interval]) -> Verdict:
    """A pure strategy wins where it is clearly better than the other one; that no mask was better is no evidence."""
    (other,) = (name for name in PURE if name != winner)
    code, advice = PURE_WINS[winner]
    if _is_beaten(gains.get(other)):
        return Verdict(
            code, f"{advice}: better than {PURE[other]}; no mask was better on validation data"
        )
    parts = [f"{PURE[winner]} came first on validation data", *_not_beaten(gains, [other])]
    return Verdict("no_evidence", "; ".join(parts))


def _not_beaten(gains: Mapping[str, Interval], names: Sequence[str]) -> list[str]:
    """Say of each baseline what keeps the winner from being better than it."""
    worse = [name for name in names if _is_beaten_by(gains.get(name))]
    unclear = [name for name in names if name in gains and name not in worse]
    parts = []
    if unclear:
        parts.append("no evidence of a gain over " + " or ".join(PURE[name] for name in unclear))
    parts += [f"worse than {PURE[name]} on test data" for name in worse]
    parts += [f"{PURE[name]} did not train to the end" for name in names if name not in gains]
    return parts


def _is_beaten(gain: Interval | None) -> bool:
    return gain is not None and gain.low is not None and gain.low > 0


def _is_beaten_by(gain: Interval | None) -> bool:
    return gain is not None and gain.high is not None and gain.high < 0
