"""Tests that recipes reach worker processes whole."""

from __future__ import annotations

from models.plans.plan import Plan
from models.workers.pool import PooledEvaluator, WorkerPool, equal_shares
from search.evaluation import Arm
from tests.models.recipe_cases import LAYOUTS, SmallConvolution, asked, one_thread, recipe_task
from tests.models.small_task import evaluator
from tests.models.worker_networks import shareable

RATES = (0.1, 0.01)
PHASES: list[dict[str, object]] = [
    {
        "kind": "distill",
        "teacher_steps": 5,
        "batch_size": 8,
        "steps": 20,
        "learning_rate": RATES,
        "learning_rate_per_candidate": True,
        "augmentation": [{"kind": "flip"}, {"kind": "noise"}],
        "loss": {"kind": "cross_entropy", "class_weights": "balanced"},
        "batch_norm": {"reestimate": "before"},
        "dropout": 0.4,
    },
    {
        "kind": "partial",
        "freeze": "kept",
        "batch_size": 8,
        "steps": 10,
        "sampling": "balanced",
        "early_stopping": {"interval": 1, "patience": 1},
        "schedule": {"kind": "one_cycle"},
        "gradient_norm": 0.5,
        "l2_sp": 0.1,
    },
]


def test_worker_processes_train_by_the_whole_recipe() -> None:
    task = shareable(recipe_task(SmallConvolution, kind="phases", phases=PHASES))
    chunk = asked(task, 6, Arm(RATES))
    with one_thread(), WorkerPool(task, 2, threads=1) as pool:
        for layout in LAYOUTS:
            plan = Plan(
                layout=layout, chunks=(1,) if layout == "loop" else (1, 2), threads=1, processes=2
            )
            found = PooledEvaluator(pool, plan).evaluate(chunk)
            alone = evaluator(task, plan)
            expected = [e for share in equal_shares(chunk, 2) for e in alone.evaluate(share)]
            assert [(e.outcome, e.fitness, e.loss) for e in found] == [
                (e.outcome, e.fitness, e.loss) for e in expected
            ]
            assert len({e.loss for e in found}) == 4
