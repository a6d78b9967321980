"""Tests of the verdict in words."""

from __future__ import annotations

import pytest

from search.statistics import Interval
from search.verdict import judge

CLEAR, UNCLEAR = Interval(0.05, 0.01, 0.09), Interval(0.05, -0.01, 0.11)
NONE, WORSE = Interval(0.0, 0.0, 0.0), Interval(-0.05, -0.09, -0.01)


@pytest.mark.parametrize(
    ("winner", "keep_gain", "transfer_gain", "code"),
    [
        ("mask", CLEAR, CLEAR, "better_than_both"),
        ("mask", UNCLEAR, CLEAR, "better_than_transfer_all"),
        ("mask", CLEAR, UNCLEAR, "better_than_keep_all"),
        ("mask", UNCLEAR, UNCLEAR, "no_evidence"),
        ("mask", None, CLEAR, "better_than_transfer_all"),
        ("mask", None, None, "no_evidence"),
        ("keep_all", NONE, CLEAR, "keep_all_wins"),
        ("transfer_all", CLEAR, NONE, "transfer_all_wins"),
        ("keep_all", NONE, UNCLEAR, "no_evidence"),
        ("transfer_all", UNCLEAR, NONE, "no_evidence"),
        ("transfer_all", WORSE, NONE, "no_evidence"),
        ("transfer_all", None, NONE, "no_evidence"),
        ("transfer_all", NONE, NONE, "no_evidence"),
    ],
)
def test_the_verdict_claims_only_what_the_intervals_support(
    winner: str, keep_gain: Interval | None, transfer_gain: Interval | None, code: str
) -> None:
    gains = {"keep_all": keep_gain, "transfer_all": transfer_gain}
    assert judge(winner, {name: gain for name, gain in gains.items() if gain}).code == code


def test_the_verdict_says_what_was_not_compared_and_how_the_best_prefix_did() -> None:
    text = judge("mask", {"transfer_all": CLEAR, "best_prefix": UNCLEAR}).text
    assert text == (
        "better than transfer-all; keep-all did not train to the end; "
        "no evidence of a gain over the best prefix"
    )
    both = {"transfer_all": CLEAR, "keep_all": CLEAR}
    assert judge("mask", both | {"best_prefix": CLEAR}).text == (
        "better than transfer-all and keep-all; also better than the best prefix"
    )
    assert judge("best_prefix", both).text.endswith("the mask is a prefix")


def test_where_every_mask_scored_alike_the_verdict_says_so() -> None:
    for winner in ("transfer_all", "mask", "best_prefix"):
        gains = dict.fromkeys(("keep_all", "transfer_all", "best_prefix"), NONE)
        verdict = judge(winner, gains)
        assert verdict.code == "no_evidence"
        assert verdict.text.startswith("every mask scored alike")


def test_a_pure_strategy_that_came_first_claims_nothing_it_cannot_show() -> None:
    assert judge("transfer_all", {"transfer_all": NONE, "keep_all": UNCLEAR}).text == (
        "transfer-all came first on validation data; no evidence of a gain over keep-all"
    )
    assert judge("keep_all", {"keep_all": NONE}).text == (
        "keep-all came first on validation data; transfer-all did not train to the end"
    )
    assert judge("mask", {"keep_all": CLEAR, "transfer_all": WORSE}).text == (
        "better than keep-all; worse than transfer-all on test data"
    )
