"""Tests of how evaluations are computed, as users may pin it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from models.plans.plan import Plan, fused_plan


def test_a_chunk_is_padded_to_the_next_size() -> None:
    plan = Plan(layout="vmap", chunks=(1, 4, 16))
    assert [plan.padded_size(count) for count in (1, 2, 4, 5, 16, 20)] == [1, 4, 4, 16, 16, 20]
    assert plan.chunk_size == 16


def test_a_fused_plan_has_a_short_ladder_up_to_its_size() -> None:
    assert fused_plan("vmap", 8, threads=2).chunks == (1, 2, 3, 4, 6, 8)


@pytest.mark.parametrize("chunks", [(1, 8, 4), (1, 4, 4), (0, 4), (4, 8), ()])
def test_chunks_ascend_from_one(chunks: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="chunks"):
        Plan(layout="vmap", chunks=chunks)


def test_a_loop_has_no_larger_chunks() -> None:
    with pytest.raises(ValidationError, match=r"chunks must be \[1\], given \[1, 4\]"):
        Plan(layout="loop", chunks=(1, 4))


def test_a_plan_survives_json() -> None:
    plan = Plan(layout="vmap", chunks=(1, 4), dtype="float64", threads=3)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


@pytest.mark.parametrize(
    "change",
    [{"layout": "pool"}, {"threads": 0}, {"dtype": "float16"}, {"processes": 0}, {"gpu": 1}],
)
def test_what_no_plan_has_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        Plan.model_validate({"layout": "vmap", **change})
