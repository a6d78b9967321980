"""The real tasks whose masks are measured exhaustively: shifts of scikit-learn's digits, small networks."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.plans.plan import Plan, fused_plan
from service.spec import SearchSpec

RUNG_REPLICATES = 3
DEMO_SPEC = Path(__file__).parents[2] / "examples" / "digits.json"


@dataclass(frozen=True, slots=True)
class TableTask:
    """A task and how much of it is measured.

    Attributes:
        document: The spec; its ``finetune.steps`` are the brief fidelity, its ``final.steps`` the full length.
        plan: How it is computed.
        brief_replicates: Of every mask at the brief fidelity.
        full_factors: Learning-rate factors at which every mask is measured at full length; none: not at all.
        full_replicates: Of every mask at full length and each of those factors.
        subset_size: Masks measured more often at full length, at every factor of ``final.learning_rate_factors``.
        subset_replicates: Of those.
    """

    document: dict[str, Any]
    plan: Plan
    brief_replicates: int = 10
    full_factors: tuple[float, ...] = ()
    full_replicates: int = 3
    subset_size: int = 0
    subset_replicates: int = 30

    @property
    def spec(self) -> SearchSpec:
        """The spec with its plan."""
        return SearchSpec.model_validate(self.document | {"plan": self.plan.model_dump()})

    def trained(self, **options: Any) -> TableTask:
        """The same task with other options of ``finetune``."""
        finetune = self.document["finetune"] | options
        return replace(self, document=self.document | {"finetune": finetune})


CONSTANT_RATE: dict[str, Any] = {"kind": "constant"}


def _mlp(name: str, shift: dict[str, Any], brief_steps: int = 60) -> TableTask:
    """Ten fully connected layers; the source knows plain digits, the target sees 100 changed ones."""
    document = {
        "name": name,
        "model": {"kind": "mlp", "hidden": [64] * 9},
        "source": {"kind": "pretrain", "dataset": {"kind": "digits"}, "steps": 600},
        "target": {"kind": "init"},
        "dataset": {
            "kind": "digits",
            "shift": [shift],
            "train_size": 100,
            "validation_size": 300,
        },
        "finetune": {
            "kind": "full",
            "steps": brief_steps,
            "batch_size": 32,
            "learning_rate": 0.002,
            "schedule": CONSTANT_RATE,
        },
        "final": {"steps": 600, "learning_rate_factors": [0.3, 1, 3]},
    }
    plan = fused_plan("stacked", 64, threads=1)
    return TableTask(document, plan, full_factors=(1.0,), subset_size=32)


def _cnn() -> TableTask:
    """The demo's task for a narrower network with two convolutions more: 11 genes."""
    document = {
        "name": "digits 5-9 from 0-4, 11 genes",
        "model": {"kind": "small_cnn", "width": 8, "convolutions": 4, "hidden": 32},
        "source": {
            "kind": "pretrain",
            "dataset": {"kind": "digits", "classes": [0, 1, 2, 3, 4]},
            "steps": 600,
        },
        "dataset": {
            "kind": "digits",
            "classes": [5, 6, 7, 8, 9],
            "train_size": 60,
            "validation_size": 200,
        },
        "finetune": {
            "kind": "full",
            "steps": 40,
            "batch_size": 32,
            "learning_rate": 0.002,
            "schedule": CONSTANT_RATE,
        },
        "final": {"steps": 300, "learning_rate_factors": [0.3, 1, 3]},
    }
    plan = fused_plan("stacked", 32, threads=1, channels_last=True)
    return TableTask(document, plan)


def _labels_longer() -> TableTask:
    """Labels permuted, at a brief fidelity that ranks masks as full length does: 60 steps do not."""
    task = _mlp("digits, labels cyclically permuted, 300 steps", {"kind": "label_cycle"}, 300)
    return replace(task, subset_size=0)


def _demo() -> TableTask:
    """examples/digits.json at a constant rate, at the brief fidelity alone."""
    document = json.loads(DEMO_SPEC.read_text(encoding="utf-8"))
    plan = fused_plan("stacked", 16, threads=1, channels_last=True)
    return TableTask(document, plan, brief_replicates=10).trained(schedule=CONSTANT_RATE)


def _one_cycle(task: TableTask) -> TableTask:
    """The same with the schedule that is the default: far less noise."""
    return replace(task.trained(schedule={"kind": "one_cycle"}), subset_size=0)


def _tiny() -> TableTask:
    """Six genes and hardly any training: to try the programs with."""
    document = {
        "name": "tiny",
        "model": {"kind": "mlp", "hidden": [8] * 5},
        "source": {"kind": "pretrain", "dataset": {"kind": "digits"}, "steps": 100},
        "dataset": {"kind": "digits", "train_size": 60, "validation_size": 100},
        "finetune": {"kind": "full", "steps": 6, "learning_rate": 0.01},
        "final": {"steps": 12, "learning_rate_factors": [0.3, 1]},
    }
    return TableTask(
        document,
        fused_plan("stacked", 64, threads=1),
        brief_replicates=4,
        full_factors=(1.0,),
        full_replicates=2,
        subset_size=12,
        subset_replicates=3,
    )


_AT_A_CONSTANT_RATE = {
    "label_cycle_mlp": _mlp("digits, labels cyclically permuted", {"kind": "label_cycle"}),
    "label_cycle_mlp_300": _labels_longer(),
    "pixel_permutation_mlp": _mlp("digits, pixels permuted", {"kind": "pixel_permutation"}),
    "classes_cnn": _cnn(),
    "demo": _demo(),
}
TABLE_TASKS = {
    "tiny": _tiny(),
    **_AT_A_CONSTANT_RATE,
    **{f"{name}_one_cycle": _one_cycle(task) for name, task in _AT_A_CONSTANT_RATE.items()},
}
