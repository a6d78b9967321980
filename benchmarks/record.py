"""Writing a benchmark's figures down with what they need to be believed: command, commit, hardware, software."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from models.devices import available_cores, describe_device, pick_device
from search.statistics import Interval, replicate_interval

RESULTS = Path(__file__).parent / "results"


def write_record(
    conditions: Mapping[str, str], figures: Mapping[str, Any], table: str, label: str = ""
) -> None:
    """Write ``results/NAME.json`` and ``results/NAME.md``, and print the table.

    Args:
        conditions: What ``conditions_of(NAME)`` gave before the first measurement.
        figures: Everything measured, as JSON.
        table: The figures for people, Markdown.
        label: Tells records of one program apart: ``NAME-LABEL.json``.
    """
    RESULTS.mkdir(exist_ok=True)
    name = conditions["command"].split()[2].removeprefix("benchmarks.")
    name += f"-{label}" if label else ""
    document = {"conditions": conditions, "figures": figures}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    lines = [f"# {name}", "", table, ""]
    lines += [f"- {key}: {value}" for key, value in conditions.items()]
    (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")


def over_seeds(values: Sequence[float]) -> Interval:
    """Mean over independent repetitions with its 95% t interval."""
    return replicate_interval(np.asarray(values, dtype=np.float64))


def show(interval: Interval, digits: int = 3, scale: float = 1.0) -> str:
    """A mean and its interval: ``0.048 [0.014, 0.082]``."""
    mean = f"{scale * interval.mean:.{digits}f}"
    if interval.low is None or interval.high is None:
        return mean
    return f"{mean} [{scale * interval.low:.{digits}f}, {scale * interval.high:.{digits}f}]"


def spread(values: Sequence[float], decimals: int | None = None) -> str:
    """Median, least and most; three significant digits unless so many decimals are asked for."""
    form = ".3g" if decimals is None else f".{decimals}f"
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def conditions_of(name: str) -> dict[str, str]:
    """Take down command, commit, hardware and software; called first, since the files may change while it runs."""
    commit = _git("rev-parse", "--short", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "command": f"python -m benchmarks.{name} {' '.join(sys.argv[1:])}".strip(),
        "commit": f"{commit}{' with uncommitted changes' if changes else ''}",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": f"{describe_device(pick_device())}, {available_cores()} cores",
        "software": f"Python {platform.python_version()}, torch {torch.__version__}",
    }


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, cwd=RESULTS.parent
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
