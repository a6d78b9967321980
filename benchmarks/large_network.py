"""Memory that a search takes with a network of 100 M parameters: a transformer encoder, one candidate after another.

A whole search over drawn data, with the fewest trainings of a step or two that have all phases, runs in a process of
its own, whose resident memory is read every 20 ms. In units of the network's weights in float32, what cannot be done
without while a step is taken is six: source, graft, network, gradient and both moments of Adam.

    python -m benchmarks.large_network --width 1024
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import conditions_of, write_record

GIB = 2**30
LAYERS, HEADS, TIME, FEATURES, SAMPLES, BATCH = 8, 8, 16, 32, 90, 8


def spec_of(width: int, optimizer: str) -> dict[str, Any]:
    """A search with few, brief trainings."""
    return {
        "model": {
            "kind": "transformer_encoder",
            "width": width,
            "layers": LAYERS,
            "heads": HEADS,
            "feed_forward": 4 * width,
        },
        "source": {"kind": "init"},
        "dataset": {"kind": "arrays", "path": "drawn.npz"},
        "genome": {"granularity": "block"},
        "optimizer": {"kind": "random", "batch_size": 2},
        "finetune": {
            "kind": "full",
            "steps": 1,
            "batch_size": BATCH,
            "optimizer": {"kind": optimizer},
        },
        "budget": {"evaluations": 2},
        "race": {"leaders": 1, "replicates": 2, "full_length_replicates": 0},
        "final": {"steps": 2, "finalists": 1, "replicates": 2, "learning_rate_factors": [1]},
        "plan": {"layout": "loop", "threads": 1},
    }


def search(folder: Path, width: int, optimizer: str) -> None:
    """Search in this process; prints the phase whenever it changes."""
    from transfermask import search as run

    phases: list[str] = []

    def listen(progress: Any) -> None:
        if progress.phase not in phases:
            phases.append(progress.phase)
            print(progress.phase, flush=True)

    run(spec_of(width, optimizer), folder=folder / "output", inputs=folder, listener=listen)


def watch(width: int, optimizer: str) -> dict[str, Any]:
    """Search in another process, and give the most memory of each phase, in bytes."""
    draws = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        x = draws.normal(size=(SAMPLES, TIME, FEATURES)).astype(np.float32)
        np.savez(folder / "drawn.npz", x=x, y=np.arange(SAMPLES) % 3)
        command = [sys.executable, "-m", "benchmarks.large_network", "--search", name]
        command += ["--width", str(width), "--optimizer", optimizer]
        started = time.monotonic()
        with subprocess.Popen(command, stdout=(folder / "phases").open("w")) as process:
            peaks: dict[str, int] = {}
            status = Path(f"/proc/{process.pid}/statm")
            while process.poll() is None:
                seen = (folder / "phases").read_text().split()
                pages = int((status.read_text().split() or ["0", "0"])[1])
                phase = seen[-1] if seen else "start"
                peaks[phase] = max(peaks.get(phase, 0), pages * 4096)
                time.sleep(0.02)
        if process.returncode:
            raise SystemExit("the search failed")
        return {"peak_bytes": peaks, "seconds": time.monotonic() - started}


def main() -> None:
    """Watch one search and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--label", default="")
    parser.add_argument("--search", type=Path, help="for its own use: search in this folder")
    options = parser.parse_args()
    if options.search is not None:
        search(options.search, options.width, options.optimizer)
        return
    conditions = conditions_of("large_network")
    found = watch(options.width, options.optimizer)
    weights = LAYERS * (12 * options.width**2 + 13 * options.width)
    lines = ["| phase | most resident memory, GiB | in units of the weights |", "|---|---|---|"]
    lines += [
        f"| {phase} | {peak / GIB:.2f} | {peak / (4 * weights):.1f} |"
        for phase, peak in found["peak_bytes"].items()
    ]
    lines += [
        "",
        f"{weights / 1e6:.0f} M weights in {LAYERS} blocks; {found['seconds']:.0f} s. "
        "Python and torch take 0.4 GiB of it.",
    ]
    write_record(conditions, found | {"weights": weights}, "\n".join(lines), options.label)


if __name__ == "__main__":
    main()
