"""Does the service stay responsive while a search runs?  POST, GET and cancel beside the demo's search.

python -m benchmarks.http_latency --posts 60
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import psutil

from benchmarks.record import conditions_of, write_record
from service.client import Client
from tests.service.server_process import ServerProcess
from tests.service.waiting import wait_until

SPEC = Path(__file__).parent.parent / "examples" / "digits.json"


def main() -> None:
    """Post while a search runs, then cancel the search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=60)
    arguments = parser.parse_args()
    conditions = conditions_of("http_latency")
    spec = json.loads(SPEC.read_text(encoding="utf-8"))
    posts, reads, cancels, freed = [], [], [], []
    with tempfile.TemporaryDirectory() as name, ServerProcess(Path(name)) as server:
        client = server.client
        running = client.submit(spec)["id"]
        wait_until(partial(_is_under_way, client, running), 120)
        for _ in range(arguments.posts):
            started = time.perf_counter()
            queued = client.submit(spec)["id"]
            posts.append(1000 * (time.perf_counter() - started))
            started = time.perf_counter()
            client.get(running)
            reads.append(1000 * (time.perf_counter() - started))
            client.cancel(queued)
            time.sleep(0.1)
        is_still_running = client.get(running)["status"] == "running"
        for _ in range(3):
            child = server.child()
            freed.append(child.memory_info().rss / 2**20)
            started = time.perf_counter()
            client.cancel(running)
            wait_until(partial(_has_status, client, running, "cancelled"), 10)
            cancels.append(time.perf_counter() - started)
            if psutil.pid_exists(child.pid):
                raise SystemExit(f"process {child.pid} of the cancelled search is still there")
            running = client.submit(spec)["id"]
            wait_until(partial(_is_under_way, client, running), 120)
    lines = [
        "| | n | median | 95% | largest |",
        "|---|---|---|---|---|",
        f"| POST /v1/searches, ms | {_row(posts)} |",
        f"| GET /v1/searches/ID, ms | {_row(reads)} |",
        f"| cancel until the process is gone, s | {_row(cancels)} |",
        "",
        "Beside the demo's search with its measured plan on all cores, which was "
        f"{'still running' if is_still_running else 'no longer running'} at the end. "
        f"Memory of the cancelled processes, freed: {', '.join(f'{size:.0f}' for size in freed)} MiB.",
    ]
    figures = {"post_ms": posts, "get_ms": reads, "cancel_seconds": cancels, "freed_mib": freed}
    write_record(conditions, figures, "\n".join(lines))


def _is_under_way(client: Client, search_id: str) -> bool:
    return len(list(client.evaluations(search_id))) >= 24


def _has_status(client: Client, search_id: str, status: str) -> bool:
    return bool(client.get(search_id)["status"] == status)


def _row(values: list[float]) -> str:
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return f"{len(values)} | {statistics.median(values):.2f} | {high:.2f} | {ordered[-1]:.2f}"


if __name__ == "__main__":
    main()
