"""What a running service does with inputs that are broken, or meant to harm: one after the other, over HTTP.

Every one must be refused, by its field, with what came and what was expected; the service must answer afterwards and
must not have taken more than a bounded amount of memory, that of a search's own process included.

    python -m benchmarks.hostile_inputs
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

from benchmarks.hostile import data_cases, spec_cases, weight_cases
from benchmarks.hostile.case import IMAGES, Case, text_task
from benchmarks.hostile.data_cases import lines, write_classes
from benchmarks.hostile.judging import complaints, message_of
from benchmarks.hostile.memory import PeakWatch, tree_bytes
from benchmarks.hostile.sending import FAILED_SEARCH, Sender
from benchmarks.record import conditions_of, write_record
from tests.models.huggingface.cases import write_folder
from tests.service.server_process import ServerProcess
from tests.service.waiting import wait_until

# Above what the idle service has just before; a search's process takes some 400 MiB before it does anything.
MOST_MIB = 600.0
LONGEST_SHOWN = 150


def main() -> None:
    """Give every input to one service, write the record, complain."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="inputs whose names contain this; no record")
    arguments = parser.parse_args()
    conditions = conditions_of("hostile_inputs")
    cases = [*weight_cases.cases(), *data_cases.cases(), *spec_cases.cases()]
    cases = [case for case in cases if arguments.only in case.name]
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        with (
            ServerProcess(data, max_artifact_bytes=weight_cases.MAX_UPLOAD_BYTES) as server,
            closing(Sender(server)) as sender,
        ):
            _check_good_ones(sender)
            pid = server.process.pid
            idle = tree_bytes(pid)
            runs = [_tried(case, sender, pid) for case in cases]
            _wait_for_children(pid)
            grown = (tree_bytes(pid) - idle) / 2**20
            leftovers = sender.leftovers()
    if not arguments.only:
        figures = {"idle_mib": idle / 2**20, "grown_mib": grown, "most_mib": MOST_MIB, "runs": runs}
        write_record(conditions, figures, _table(runs, idle / 2**20, grown))
    wrong = [f"{run['input']}: {complaint}" for run in runs for complaint in run["complaints"]]
    wrong += [f"left behind: {name}" for name in leftovers]
    if grown > MOST_MIB:
        wrong.append(f"idle again, the service has {grown:.0f} MiB more than before")
    if wrong:
        raise SystemExit("\n".join(wrong))


def _check_good_ones(sender: Sender) -> None:
    """Without what is hostile in them the inputs are taken; and the service has loaded its libraries."""
    write_folder(sender.inputs / "bert")
    (sender.inputs / "good.csv").write_text(lines())
    write_classes(sender.inputs / "good")
    for changes in ({}, text_task("bert"), {"dataset": {**IMAGES, "path": "good"}}):
        answer = sender.genes(changes)
        if answer.how != "200":
            raise SystemExit(f"a good spec was refused: {answer}")


def _tried(case: Case, sender: Sender, pid: int) -> dict[str, Any]:
    """Give one input to the service and take down what became of it."""
    _wait_for_children(pid)
    started = time.monotonic()
    with PeakWatch(pid) as watch:
        answer = case.send(sender)
    seconds = time.monotonic() - started
    is_healthy = sender.is_healthy()
    wrong = complaints(case, answer)
    if not is_healthy:
        wrong.append("/healthz did not answer")
    if watch.risen_mib > MOST_MIB:
        wrong.append(f"{watch.risen_mib:.0f} MiB more than idle; at most {MOST_MIB:.0f}")
    errors = answer.document.get("errors", ())
    run = {
        "input": case.name,
        "refused": answer.how,
        "code": answer.document.get("code", ""),
        "field": errors[0]["field"] if errors else "",
        "message": message_of(answer.document),
        "healthy": is_healthy,
        "peak_mib": round(watch.risen_mib, 1),
        "seconds": round(seconds, 2),
        "complaints": wrong,
    }
    print(run, flush=True)
    return run


def _wait_for_children(pid: int) -> None:
    """Wait until the process of a search that has failed is gone; it is there for a moment more."""
    wait_until(lambda: not psutil.Process(pid).children(), 30)


def _table(runs: list[dict[str, Any]], idle_mib: float, grown_mib: float) -> str:
    rows = [
        "| input | refused by | field | message | healthy after | peak, MiB above idle | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        how = f"{run['refused']} `{run['code']}`" if run["code"] else run["refused"]
        shown = " ".join(run["message"].replace("|", "\\|").split())
        if len(shown) > LONGEST_SHOWN:
            shown = f"{shown[: LONGEST_SHOWN - 1]}…"
        rows.append(
            f"| {run['input']} | {how} | {run['field']} | {shown} | {'yes' if run['healthy'] else 'NO'} | "
            f"{run['peak_mib']:.0f} | {run['seconds']:.1f} |"
        )
    refused = sum(not run["complaints"] for run in runs)
    peak = max(runs, key=lambda run: float(run["peak_mib"]))
    searches = sum(run["refused"] == FAILED_SEARCH for run in runs)
    rows += [
        "",
        f"{refused} of {len(runs)} inputs were refused as they must be, {searches} of them by a search that read the "
        f"data and failed. Most memory: {peak['peak_mib']:.0f} MiB ({peak['input']}), of {MOST_MIB:.0f} that are "
        "allowed above what the idle service had just before; resident memory of the service and its search, read "
        f"every 10 ms. When it had checked some good specs the idle service had {idle_mib:.0f} MiB, and after all "
        f"of these inputs {grown_mib:+.0f} MiB. Seconds are those until the refusal, the writing of the file included.",
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
