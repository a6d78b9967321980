"""Tests of measuring in several processes: the same results, and no process left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import psutil
import pytest
import torch
from torch import nn

from models.evaluator import Task
from models.final_artifacts import FinalArtifacts
from models.plans.plan import Plan
from models.workers.pool import PooledEvaluator, WorkerPool, equal_shares
from search.errors import (
    ChunkOutOfMemoryError,
    InvalidInputError,
    UnsharableTaskError,
    WorkerDiedError,
    WorkerFailedError,
)
from search.evaluation import FINAL_REPLICATE, Candidate, Evaluation, Outcome
from tests.models.small_task import LOOP, VMAP, candidates, evaluator, family_task
from tests.models.worker_networks import (
    doing,
    misbehaving_task,
    shareable,
    small_task,
)
from tests.service.waiting import wait_until

ROOT = Path(__file__).parents[3]
# Of training that is killed before its end; its minibatches are drawn before its first step.
ENDLESS = 30_000
STEPS = 3
LOOPS, VMAPS = (plan.model_copy(update={"processes": 2}) for plan in (LOOP, VMAP))


@pytest.fixture(autouse=True)
def _threads_are_restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> FinalArtifacts:
    return FinalArtifacts(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def pool(artifacts: FinalArtifacts) -> Iterator[WorkerPool]:
    with pytest.MonkeyPatch.context() as patch:
        # What a pool is told about threads goes before what is set.
        patch.setenv("OMP_NUM_THREADS", "2")
        patch.setenv("MKL_NUM_THREADS", "2")
        pool = WorkerPool(small_task(), 2, threads=1, artifacts=artifacts)
    with pool:
        yield pool


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("misbehaving")


@pytest.fixture(scope="module")
def unruly(folder: Path) -> Iterator[WorkerPool]:
    """Workers whose candidates misbehave; a pool starts new ones for those that died."""
    with WorkerPool(misbehaving_task(folder), 2, threads=1) as pool:
        yield pool


def outcomes_of(pool: WorkerPool, *asked: Candidate) -> list[Outcome]:
    return [evaluation.outcome for evaluation in PooledEvaluator(pool, LOOPS).evaluate(asked)]


def measurements(
    evaluations: Sequence[Evaluation],
) -> list[tuple[Candidate, Outcome, float | None, float | None]]:
    return [(e.candidate, e.outcome, e.fitness, e.loss) for e in evaluations]


def is_running(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("plan", [VMAPS, LOOPS], ids=["vmap", "loop"])
@pytest.mark.parametrize("count", [7, 2, 1])
def test_shares_have_the_same_bits_as_in_this_process(
    pool: WorkerPool, plan: Plan, count: int
) -> None:
    task = small_task()
    asked = candidates(task, STEPS, count=7)[:count]
    alone = evaluator(task, plan)
    expected = [e for share in equal_shares(asked, 2) for e in alone.evaluate(share)]
    assert measurements(PooledEvaluator(pool, plan).evaluate(asked)) == measurements(expected)


@pytest.mark.parametrize(
    ("count", "sizes"), [(8, [4, 4]), (7, [4, 3]), (2, [1, 1]), (1, [1]), (0, [])]
)
def test_shares_are_nearly_equal_and_in_order(count: int, sizes: list[int]) -> None:
    asked = candidates(small_task(), STEPS, count=8)[:count]
    shares = equal_shares(asked, 2)
    assert [len(share) for share in shares] == sizes
    assert [candidate for share in shares for candidate in share] == list(asked)


def test_a_candidates_duration_is_its_share_of_the_time_that_passed(pool: WorkerPool) -> None:
    measure = PooledEvaluator(pool, LOOPS)
    evaluations = measure.evaluate(candidates(small_task(), STEPS))
    seconds = [evaluation.duration_seconds for evaluation in evaluations]
    assert len(set(seconds)) == 1
    assert 0 < measure.computing_seconds < sum(seconds)


def test_workers_write_the_files_of_a_final(
    pool: WorkerPool, artifacts: FinalArtifacts, tmp_path: Path
) -> None:
    task, own = small_task(), FinalArtifacts(tmp_path)
    asked = candidates(task, STEPS, count=3, replicate=FINAL_REPLICATE)
    PooledEvaluator(pool, VMAPS).evaluate(asked)
    assert not artifacts.weights_path(asked[0]).exists()
    PooledEvaluator(pool, VMAPS, keeps_artifacts=True).evaluate(asked)
    alone = evaluator(task, VMAP, own)
    for share in equal_shares(asked, 2):
        alone.evaluate(share)
    for candidate in asked:
        labels = task.data.test.labels
        theirs, ours = (files.answers([candidate], labels).target for files in (artifacts, own))
        assert torch.equal(theirs.losses, ours.losses)
        assert torch.equal(theirs.classes, ours.classes)
        paths = [files.weights_path(candidate) for files in (artifacts, own)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_plan_is_timed_and_one_that_cannot_be_computed_is_refused(pool: WorkerPool) -> None:
    assert pool.time_plan(VMAP) > 0
    wrong = Plan.model_construct(**(dict(VMAP) | {"dtype": "float32", "chunks": (1, "four")}))
    with pytest.raises(WorkerFailedError, match=r"\ATypeError: .*\nin a worker process"):
        pool.time_plan(wrong)
    # Nothing is left of the failure.
    assert pool.time_plan(LOOP) > 0


def test_the_environment_of_workers_is_made_for_computing(pool: WorkerPool) -> None:
    for process_id in pool.process_ids:
        environment = psutil.Process(process_id).environ()
        assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "1"
        assert "GLIBC_TUNABLES" in environment


@pytest.mark.parametrize("n_healthy", [1, 3])
def test_a_share_without_memory_is_a_chunk_without_memory(
    unruly: WorkerPool, n_healthy: int
) -> None:
    # A share of one, whose outcome it is; and a share of two.
    with pytest.raises(ChunkOutOfMemoryError):
        outcomes_of(unruly, *[doing()] * n_healthy, doing("memory"))


def test_one_candidate_without_memory_is_an_outcome(unruly: WorkerPool) -> None:
    assert outcomes_of(unruly, doing("memory")) == [Outcome.OUT_OF_MEMORY]
    assert outcomes_of(unruly, doing()) == [Outcome.MEASURED]


def test_an_exception_comes_back_with_its_traceback_and_the_worker_lives(
    unruly: WorkerPool,
) -> None:
    before = unruly.process_ids
    with pytest.raises(WorkerFailedError, match="RuntimeError: shapes do not fit") as failed:
        outcomes_of(unruly, doing("error", steps=1), doing())
    assert "in raise_an_error" in failed.value.traceback
    with pytest.raises(ChunkOutOfMemoryError):
        outcomes_of(unruly, doing("error"), doing(), doing("memory"), doing("memory"))
    assert unruly.process_ids == before


def test_an_input_that_became_invalid_comes_back_as_that(unruly: WorkerPool, folder: Path) -> None:
    (folder / "target").unlink()
    with pytest.raises(InvalidInputError, match=r"target\.path: target given, expected a file"):
        outcomes_of(unruly, doing())
    (folder / "target").touch()
    assert outcomes_of(unruly, doing()) == [Outcome.MEASURED]


def test_a_worker_that_crashes_is_an_error_with_its_last_words(unruly: WorkerPool) -> None:
    with pytest.raises(WorkerDiedError, match=r"signal SIGABRT; with plan\.processes 1") as died:
        outcomes_of(unruly, doing("crash"), doing())
    assert died.value.exit_status == -signal.SIGABRT
    assert died.value.last_words.startswith("Fatal Python error: Aborted")
    assert "in forward" in died.value.last_words


def test_a_worker_killed_in_the_middle_is_noticed_at_once_and_counts_as_memory_that_ran_out(
    unruly: WorkerPool, folder: Path
) -> None:
    caught: list[BaseException] = []

    def measure() -> None:
        try:
            outcomes_of(unruly, *[doing(steps=ENDLESS)] * 2)
        except BaseException as error:  # noqa: BLE001 - looked at below
            caught.append(error)

    outcomes_of(unruly, doing())
    process_ids = unruly.process_ids
    for path in folder.glob("[0-9]*"):
        path.unlink()
    thread = threading.Thread(target=measure)
    thread.start()
    wait_until(lambda: len(list(folder.glob("[0-9]*"))) == 2, 60)
    psutil.Process(process_ids[1]).kill()
    thread.join()
    assert isinstance(caught[0], ChunkOutOfMemoryError)
    assert "was killed" in str(caught[0])
    assert not any(is_running(process_id) for process_id in process_ids)
    assert outcomes_of(unruly, doing()) == [Outcome.MEASURED]
    assert set(process_ids).isdisjoint(unruly.process_ids)
    assert outcomes_of(unruly, doing("kill")) == [Outcome.OUT_OF_MEMORY]


def test_a_worker_that_died_while_idle_is_replaced(unruly: WorkerPool) -> None:
    outcomes_of(unruly, doing())
    before = unruly.process_ids
    psutil.Process(before[1]).kill()
    # Until its last thread is gone; left for the pool to reap.
    os.waitid(os.P_PID, before[1], os.WEXITED | os.WNOWAIT)
    assert outcomes_of(unruly, doing(), doing()) == [Outcome.MEASURED] * 2
    assert set(before).isdisjoint(unruly.process_ids)


def test_closing_leaves_no_process_and_no_way_back() -> None:
    pool = WorkerPool(small_task(), 1, threads=1)
    process_ids = pool.process_ids
    assert all(is_running(process_id) for process_id in process_ids)
    pool.close()
    assert not any(psutil.pid_exists(process_id) for process_id in process_ids)
    pool.close()
    with pytest.raises(ValueError, match="closed"):
        PooledEvaluator(pool, LOOPS).evaluate(candidates(small_task(), STEPS))


# No main guard, as users write it.
TRAINING_PARENT = f"""
import signal
# A test run in the background of a shell inherits that interrupts are ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from models.workers.pool import PooledEvaluator, WorkerPool
from tests.models.small_task import LOOP
from tests.models.worker_networks import doing, misbehaving_task
n_workers = int(sys.argv[2])
pool = WorkerPool(misbehaving_task(Path(sys.argv[1])), n_workers, threads=1)
plan = LOOP.model_copy(update={{"processes": n_workers}})
PooledEvaluator(pool, plan).evaluate([doing(steps={ENDLESS})] * n_workers)
"""


@pytest.mark.parametrize(("number", "n_workers"), [(signal.SIGKILL, 2), (signal.SIGINT, 1)])
def test_workers_end_with_their_parent_even_while_they_train(
    tmp_path: Path, number: signal.Signals, n_workers: int
) -> None:
    script, folder = tmp_path / "script.py", tmp_path / "folder"
    script.write_text(TRAINING_PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(folder), str(n_workers)],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: len(list(folder.glob("[0-9]*"))) == n_workers, 120)
        workers = [int(path.name) for path in folder.glob("[0-9]*")]
        assert all(is_running(process_id) for process_id in workers)
    finally:
        parent.send_signal(number)
        parent.wait()
    wait_until(lambda: not any(is_running(process_id) for process_id in workers), 10)


def test_workers_leave_an_interrupt_to_their_parent(pool: WorkerPool) -> None:
    before = pool.process_ids
    for process_id in before:
        psutil.Process(process_id).send_signal(signal.SIGINT)
    assert pool.time_plan(LOOP) > 0
    assert pool.process_ids == before


def test_a_task_that_cannot_be_sent_is_refused_with_the_reason() -> None:
    with pytest.raises(UnsharableTaskError, match=r"plan\.processes: 2 given.*<lambda>") as refused:
        WorkerPool(family_task("mlp", {"hidden": [8]}), 2, threads=1)
    assert "0x" not in refused.value.cause


def test_a_class_of_the_main_program_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Network(nn.Linear):
        """As if it were defined in the user's script."""

    task = replace(small_task(), network=Network(1, 1))
    with pytest.raises(UnsharableTaskError, match="Network"):
        WorkerPool(task, 2, threads=1)
    monkeypatch.setattr(Network, "__module__", "__main__")
    with pytest.raises(UnsharableTaskError, match="Network is defined in the main program; move"):
        WorkerPool(task, 2, threads=1)


def test_a_class_that_only_this_process_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("made_up_on_the_fly")
    network = type("Network", (nn.Linear,), {"__module__": module.__name__})
    vars(module)["Network"] = network
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(UnsharableTaskError, match="No module named 'made_up_on_the_fly'"):
        WorkerPool(replace(small_task(), network=network(1, 1)), 1, threads=1)


def test_a_target_that_is_made_once_is_made_before_the_workers_start(tmp_path: Path) -> None:
    made: list[int] = []

    def target(replicate: int) -> dict[str, torch.Tensor]:
        made.append(replicate)
        return small_task().target(replicate)

    task: Task = replace(shareable(small_task()), target=target)
    with pytest.raises(UnsharableTaskError):
        WorkerPool(task, 2, threads=1)
    assert made == [0]
