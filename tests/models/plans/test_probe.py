"""Tests of choosing a plan by measuring; times are set, so that what is chosen is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import monotonic

import pytest

from models.plans.plan import Plan
from models.plans.probe import Instruments, ProbeLimits, ProbeOutcome, probe_plans
from search.errors import UnsharableTaskError

LIMITS = ProbeLimits(
    threads=2,
    most_candidates=64,
    planned_steps=1,
    candidate_bytes=1,
    available_bytes=10**9,
    has_images=False,
    has_processes=True,
)
LONG = replace(LIMITS, planned_steps=10**6)


def probe(
    time: Callable[[Plan], float], limits: ProbeLimits = LIMITS, correlation: float = 1.0
) -> ProbeOutcome:
    return probe_plans(limits, Instruments(time, lambda _: correlation))


def best_at(size: int) -> Callable[[Plan], float]:
    """Times that are least at one chunk size."""
    return lambda plan: 10 + abs(plan.chunk_size - size) - 5 * (plan.layout != "loop")


@pytest.mark.parametrize(
    ("size", "tried"), [(2, {2, 4, 8, 16}), (8, {4, 8, 16}), (64, {8, 16, 32, 64})]
)
def test_chunks_grow_or_shrink_from_the_middle_until_that_gains_no_more(
    size: int, tried: set[int]
) -> None:
    outcome = probe(
        lambda plan: 20.0 if plan.layout == "loop" else 5.0 + abs(plan.chunk_size - size) / 10
    )
    assert (outcome.plan.layout, outcome.plan.chunk_size) == ("stacked", size)
    labels = {f"stacked x {own}, 2 threads" for own in tried}
    found = {label for label in outcome.milliseconds if label.endswith("2 threads")}
    assert found == labels | {"loop, 2 threads"}


def test_of_a_large_network_small_chunks_come_first() -> None:
    tried: list[int] = []

    def time(plan: Plan) -> float:
        tried.append(plan.chunk_size)
        return 60.0 - plan.chunk_size

    probe(time)
    assert tried[:3] == [1, 2, 4]


def test_the_loop_is_chosen_where_it_is_fastest() -> None:
    outcome = probe(lambda plan: float(plan.chunk_size))
    assert outcome.plan == Plan(layout="loop", threads=2)


def test_chunks_that_are_never_asked_for_are_not_tried() -> None:
    outcome = probe(best_at(64), replace(LIMITS, most_candidates=4))
    assert outcome.plan.chunk_size == 4


def test_the_order_of_pixels_and_channels_is_measured_for_images_alone() -> None:
    def time(plan: Plan) -> float:
        return best_at(4)(plan) - plan.channels_last

    assert not any("channels last" in label for label in probe(time).milliseconds)
    outcome = probe(time, replace(LIMITS, has_images=True))
    assert outcome.plan.channels_last
    assert "stacked x 4, 2 threads" in outcome.milliseconds


@pytest.mark.parametrize(("loop", "is_tried"), [(9.0, True), (11.0, False)])
def test_a_loop_that_chunks_leave_far_behind_is_not_tried_in_another_order(
    loop: float, *, is_tried: bool
) -> None:
    outcome = probe(
        lambda plan: loop if plan.layout == "loop" else 5.0, replace(LIMITS, has_images=True)
    )
    assert ("loop, channels last, 2 threads" in outcome.milliseconds) is is_tried


def test_what_cannot_be_stacked_goes_to_vmap_and_what_cannot_be_fused_to_the_loop() -> None:
    def no_stack(plan: Plan) -> float:
        if plan.layout == "stacked":
            raise RuntimeError("view size is not compatible\nand more")
        return best_at(4)(plan)

    outcome = probe(no_stack, replace(LIMITS, has_images=True))
    assert (outcome.plan.layout, outcome.plan.chunk_size) == ("vmap", 4)
    assert outcome.refusals["stacked x 8, 2 threads"] == "view size is not compatible"
    assert "stacked x 8, channels last, 2 threads" in outcome.refusals

    def no_fusing(plan: Plan) -> float:
        if plan.layout != "loop":
            raise RuntimeError("vmap: it looks like you're calling .item()")
        return 1.0

    outcome = probe(no_fusing)
    assert outcome.plan.layout == "loop"
    assert "item()" in outcome.refusals["vmap x 16, 2 threads"]


def test_what_not_even_the_loop_can_compute_is_an_error() -> None:
    def broken(plan: Plan) -> float:
        raise RuntimeError("size mismatch")

    with pytest.raises(RuntimeError, match="size mismatch"):
        probe(broken)


def test_plans_that_do_not_fit_into_memory_are_not_tried_and_the_need_is_told() -> None:
    tight = replace(LIMITS, candidate_bytes=2**30, available_bytes=10 * 2**30)
    outcome = probe(best_at(64), tight)
    assert outcome.plan.chunk_size == 4
    assert outcome.refusals["stacked x 8, 2 threads"] == (
        "needs about 8.0 GiB, of which 6.0 GiB may be planned with"
    )


def test_memory_that_runs_out_all_the_same_is_a_refusal() -> None:
    def time(plan: Plan) -> float:
        if plan.chunk_size > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")
        return best_at(64)(plan)

    outcome = probe(time)
    assert outcome.plan.chunk_size == 4
    assert outcome.refusals["stacked x 8, 2 threads"] == "out of memory"


def test_a_long_search_tries_processes_and_a_short_one_a_single_thread() -> None:
    def time(plan: Plan) -> float:
        return best_at(8)(plan) / plan.processes

    outcome = probe(time, LONG)
    assert (outcome.plan.processes, outcome.plan.threads, outcome.plan.chunk_size) == (2, 1, 8)
    outcome = probe(lambda plan: best_at(8)(plan) * plan.threads)
    assert (outcome.plan.processes, outcome.plan.threads) == (1, 1)


def test_of_a_large_network_processes_are_tried_before_chunks_use_up_the_time() -> None:
    tried: list[str] = []

    def time(plan: Plan) -> float:
        tried.append(plan.layout if plan.processes == 1 else "processes")
        return 100.0

    probe(time, LONG)
    assert tried[:3] == ["loop", "processes", "stacked"]
    tried.clear()
    probe(lambda plan: time(plan) / 100, LONG)
    assert tried[:3] == ["loop", "stacked", "stacked"]


def test_a_loop_that_is_left_far_behind_is_not_tried_in_processes() -> None:
    def time(plan: Plan) -> float:
        return 10 if plan.layout == "loop" else best_at(8)(plan) / 10 / plan.processes

    outcome = probe(time, LONG)
    assert outcome.plan.label == "stacked x 8, 2 processes, 1 thread"
    assert "loop, 2 processes, 1 thread" not in outcome.milliseconds


def test_processes_share_what_is_trained_side_by_side() -> None:
    """Chunks that would never be full are not tried."""
    outcome = probe(
        lambda plan: best_at(64)(plan) / plan.processes, replace(LONG, most_candidates=24)
    )
    assert outcome.plan.label == "stacked x 8, 2 processes, 1 thread"
    assert not any(plan.startswith("stacked x 16, 2 processes") for plan in outcome.milliseconds)


def test_a_task_that_cannot_be_shared_stays_in_one_process_and_the_reason_is_told() -> None:
    def time(plan: Plan) -> float:
        if plan.processes > 1:
            raise UnsharableTaskError(plan.processes, "class Net of __main__")
        return best_at(8)(plan)

    outcome = probe(time, LONG)
    assert outcome.plan.processes == 1
    assert outcome.refusals["stacked x 8, 2 processes, 1 thread"] == "class Net of __main__"


@pytest.mark.parametrize(
    ("speed", "correlation", "chosen", "reason"),
    [
        (0.5, 0.97, "bfloat16", None),
        (0.5, 0.90, "float32", "correlate only by 0.90"),
        (0.8, 1.0, "float32", "not worth less precision"),
    ],
)
def test_reduced_precision_must_be_faster_and_rank_alike(
    speed: float, correlation: float, chosen: str, reason: str | None
) -> None:
    def time(plan: Plan) -> float:
        return best_at(8)(plan) * (speed if plan.dtype == "bfloat16" else 1)

    outcome = probe(time, replace(LONG, precisions=("bfloat16",)), correlation)
    assert outcome.plan.dtype == chosen
    refused = [why for label, why in outcome.refusals.items() if "bfloat16" in label]
    assert [reason in why for why in refused if reason] == ([True] if reason else [])


def test_a_precision_that_was_faster_once_by_chance_is_not_compared() -> None:
    compared: list[Plan] = []
    times = iter([1.0, 5.0])

    def time(plan: Plan) -> float:
        return next(times) if plan.dtype == "bfloat16" else best_at(8)(plan)

    def correlation(plan: Plan) -> float:
        compared.append(plan)
        return 1.0

    limits = replace(LONG, precisions=("bfloat16",))
    assert probe_plans(limits, Instruments(time, correlation)).plan.dtype == "float32"
    assert not compared


def test_reduced_precision_is_not_judged_without_weights() -> None:
    def time(plan: Plan) -> float:
        return best_at(8)(plan) * (0.5 if plan.dtype == "bfloat16" else 1)

    limits = replace(LONG, precisions=("bfloat16",))
    outcome = probe_plans(limits, Instruments(time, rank_correlation=None))
    assert outcome.plan.dtype == "float32"
    (reason,) = [why for label, why in outcome.refusals.items() if "bfloat16" in label]
    assert reason == "2.500 ms; a search takes it if it ranks 32 masks as float32 does"


def test_steps_are_captured_where_that_is_possible_and_faster() -> None:
    def time(plan: Plan) -> float:
        return best_at(8)(plan) - plan.captured

    assert not probe(time).plan.captured
    on_gpu = replace(LIMITS, has_processes=False, can_capture=True)
    assert probe(time, on_gpu).plan.captured


def test_a_probe_that_has_taken_long_enough_tries_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = monotonic()

    def time(plan: Plan) -> float:
        nonlocal now
        now += 50.0
        return best_at(64)(plan)

    monkeypatch.setattr("models.plans.probe.time.monotonic", lambda: now)
    outcome = probe(time, replace(LONG, planned_steps=10**9))
    assert list(outcome.milliseconds) == [
        "loop, 2 threads",
        "loop, 2 processes, 1 thread",
        "stacked x 2, 2 threads",
    ]
    assert outcome.refusals["stacked x 4, 2 threads"].startswith("not tried: ")


@pytest.mark.parametrize("limits", [LIMITS, LONG])
def test_one_thread_is_timed_though_several_took_all_the_time(
    limits: ProbeLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine where other programs have the cores."""
    now = monotonic()

    def time(plan: Plan) -> float:
        nonlocal now
        now += 200.0 if plan.threads > 1 else 0.1
        return 400.0 if plan.threads > 1 else 10.0

    monkeypatch.setattr("models.plans.probe.time.monotonic", lambda: now)
    assert probe(time, limits).plan.label == "loop, 1 thread"


@pytest.mark.parametrize(
    ("threads", "seconds", "are_tried"), [(2, 160, False), (2, 180, True), (8, 40, True)]
)
def test_processes_are_started_where_the_search_is_long_for_the_cores_there_are(
    threads: int, seconds: int, *, are_tried: bool
) -> None:
    steps = 1000 * seconds // 5
    limits = replace(LIMITS, threads=threads, planned_steps=steps)
    outcome = probe(lambda plan: 20.0 if plan.layout == "loop" else 5.0, limits)
    assert any("processes" in label for label in outcome.milliseconds) is are_tried
