"""Memory that really runs out: a search in a process whose address space is limited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

import transfermask
from search.final import FINAL_PHASE
from search.ledger import DecisionRow, JsonLinesLedger, canonical_json

SPEC = {
    "model": {"kind": "small_cnn", "width": 32},
    "source": {"kind": "init"},
    "dataset": {"kind": "digits", "train_size": 600, "validation_size": 100},
    "optimizer": {"kind": "random", "batch_size": 16},
    "finetune": {"kind": "full", "steps": 1, "batch_size": 512},
    "budget": {"evaluations": 16},
    "race": {"leaders": 1, "replicates": 2, "full_length_replicates": 0},
    "final": {"steps": 1, "finalists": 1, "replicates": 2, "learning_rate_factors": [1]},
    "plan": {
        "layout": "stacked",
        "chunks": [1, 2, 4, 8, 16],
        "threads": 1,
        "channels_last": True,
    },
}
# A chunk of 16 takes about 600 MiB, one of 4 a quarter of that.
HEADROOM_BYTES = 400 * 2**20
PROGRAM = """
import json, pathlib, resource, sys
import torch, transfermask
# Nor is what is imported only where it is needed.
import service.library, sklearn.datasets, sklearn.model_selection, torch._dynamo
# What torch loads for its first convolution is none of the chunk's.
torch.nn.functional.conv2d(torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3))
pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
print(transfermask.search(json.loads(sys.argv[3]), folder=sys.argv[1]).mask)
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="needs Linux's /proc/self/statm"
)


def search_with_little_memory(folder: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(HEADROOM_BYTES), json.dumps(SPEC)],
        capture_output=True,
        text=True,
        check=False,
        # OpenBLAS sets memory aside for each of its threads, and ends the process where there is none left.
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def is_final_chunk(line: str) -> bool:
    """Whether a line of a ledger holds evaluations of the final."""
    return any(
        row["type"] == "evaluation" and row["phase"] == FINAL_PHASE for row in json.loads(line)
    )


@pytest.mark.usefixtures("blank_report")
def test_chunks_that_do_not_fit_are_halved_in_the_ledger_and_replayed(tmp_path: Path) -> None:
    limited = tmp_path / "limited"
    mask = search_with_little_memory(limited)
    rows = list(JsonLinesLedger(limited / "ledger.jsonl").rows())
    sizes = [row.value for row in rows if isinstance(row, DecisionRow) and row.name == "chunk_size"]
    assert sizes
    assert sizes[0] == {"chunk_size": 8}

    # Killed in the final, and resumed where there is memory enough: chunks stay as small as they were.
    resumed = tmp_path / "resumed"
    resumed.mkdir()
    (resumed / "spec.json").write_bytes((limited / "spec.json").read_bytes())
    lines = (limited / "ledger.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    before = list(takewhile(lambda line: not is_final_chunk(line), lines))
    assert 0 < len(before) < len(lines)
    (resumed / "ledger.jsonl").write_text("".join(before), encoding="utf-8")
    assert transfermask.search(SPEC, folder=resumed).mask == mask
    assert canonical_json(JsonLinesLedger(resumed / "ledger.jsonl").rows()) == canonical_json(rows)
