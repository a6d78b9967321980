"""Killing a real service with -9: the child alone, the parent alone, the whole process group, at random points.

After each kill the service is started again where it died, and the search must end with the same canonical ledger, mask
and verdict as one left alone, with no key twice, and with the orphan of a dead parent gone.

    python -m benchmarks.kill_campaign --points 5
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.record import conditions_of, write_record
from search.ledger import EvaluationRow, Row, canonical_json
from service.database import connect
from service.sql_ledger import SqlLedger
from tests.service.server_process import QUICK_SPEC, ServerProcess
from tests.service.waiting import wait_until

TARGETS = ("child", "parent", "group")
SPEC: dict[str, Any] = QUICK_SPEC | {
    "optimizer": {"kind": "genetic", "population_size": 8},
    "finetune": {"kind": "full", "steps": 100, "batch_size": 32},
    "budget": {"evaluations": 8},
    "final": {"steps": 150, "finalists": 1, "replicates": 3, "learning_rate_factors": [0.3, 1]},
    "model": {"kind": "mlp", "hidden": [64, 64]},
    "plan": {"layout": "vmap", "chunks": [1, 2, 4], "threads": 1},
}


def rows_of(server: ServerProcess, search_id: str) -> list[Row]:
    """Read a job's ledger from the database."""
    return SqlLedger(connect(server.settings.sqlalchemy_url), search_id, 0).rows()


def outcome(server: ServerProcess, search_id: str) -> dict[str, Any]:
    """Wait for the end; give what must not depend on kills."""
    search = server.client.wait(search_id, poll_seconds=0.2)
    rows = rows_of(server, search_id)
    keys = [row.evaluation.candidate.key for row in rows if isinstance(row, EvaluationRow)]
    result = server.client.result(search_id)
    return {
        "status": search["status"],
        "ledger": canonical_json(rows),
        "mask": result["mask"],
        "verdict": result["verdict"],
        "keys_are_unique": len(set(keys)) == len(keys),
    }


def kill(server: ServerProcess, target: str) -> bool:
    """Kill with -9; tell whether no process of the job was left some seconds later."""
    child = server.child()
    if target == "child":
        child.kill()
    elif target == "parent":
        server.end(signal.SIGKILL)
    else:
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(20)
    try:
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 5)
    except AssertionError:
        return False
    return True


def killed_once(folder: Path, target: str, n_rows: int) -> tuple[dict[str, Any], bool, int]:
    """Run one search that is killed once its ledger has so many rows."""
    server = ServerProcess(folder)
    search_id = server.client.submit(SPEC)["id"]
    while len(rows_of(server, search_id)) < n_rows:
        time.sleep(0.01)
    rows_at_kill = len(rows_of(server, search_id))
    is_gone = kill(server, target)
    if target == "child":
        with server:
            return outcome(server, search_id), is_gone, rows_at_kill
    server.client.close()
    with ServerProcess(folder) as restarted:
        return outcome(restarted, search_id), is_gone, rows_at_kill


def main() -> None:
    """Run one search alone, then kill the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    conditions = conditions_of("kill_campaign")
    rng = random.Random(arguments.seed)
    runs = []
    with tempfile.TemporaryDirectory() as name:
        with ServerProcess(Path(name) / "alone") as server:
            search_id = server.client.submit(SPEC)["id"]
            alone = outcome(server, search_id)
            total = len(rows_of(server, search_id))
        for target in TARGETS:
            for point in range(arguments.points):
                folder = Path(name) / f"{target}-{point}"
                n_rows = rng.randrange(1, total - 6)
                started = time.monotonic()
                found, is_gone, rows_at_kill = killed_once(folder, target, n_rows)
                runs.append(
                    {
                        "target": target,
                        "rows_at_kill": rows_at_kill,
                        "rows": total,
                        "same_ledger": found["ledger"] == alone["ledger"],
                        "same_mask_and_verdict": (found["mask"], found["verdict"])
                        == (alone["mask"], alone["verdict"]),
                        "keys_are_unique": found["keys_are_unique"],
                        "no_process_left": is_gone,
                        "seconds": round(time.monotonic() - started, 1),
                    }
                )
                print(runs[-1], flush=True)
    checks = ("same_ledger", "same_mask_and_verdict", "keys_are_unique", "no_process_left")
    lines = [
        f"| killed with -9 | at rows (of {total}) | "
        + " | ".join(c.replace("_", " ") for c in checks)
        + " |",
        "|---|---|" + "---|" * len(checks),
    ]
    for target in TARGETS:
        own = [run for run in runs if run["target"] == target]
        points = ", ".join(str(run["rows_at_kill"]) for run in own)
        counts = [f"{sum(run[check] for run in own)} of {len(own)}" for check in checks]
        lines.append(f"| {target} | {points} | {' | '.join(counts)} |")
    write_record(conditions, {"runs": runs}, "\n".join(lines))
    if not all(run[check] for run in runs for check in checks):
        raise SystemExit("a kill changed the search")


if __name__ == "__main__":
    main()
