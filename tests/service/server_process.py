"""A service in a process of its own, which a test may kill."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from service.client import Client
from service.settings import Settings
from tests.service.waiting import wait_until

# Small enough for seconds, large enough to be killed in the middle.
QUICK_SPEC: dict[str, Any] = {
    "name": "quick",
    "model": {"kind": "mlp", "hidden": [16, 16]},
    "source": {
        "kind": "pretrain",
        "dataset": {"kind": "digits", "classes": [0, 1, 2, 3, 4]},
        "steps": 30,
    },
    "dataset": {
        "kind": "digits",
        "classes": [5, 6, 7, 8, 9],
        "train_size": 60,
        "validation_size": 100,
    },
    "optimizer": {"kind": "random", "batch_size": 4},
    "finetune": {"kind": "full", "steps": 5, "batch_size": 32},
    "budget": {"evaluations": 8},
    "race": {"leaders": 2, "replicates": 2},
    "final": {"steps": 10, "finalists": 1, "replicates": 2, "learning_rate_factors": [1]},
    "plan": {"layout": "loop", "threads": 1},
}


class ServerProcess:
    """``transfermask serve`` on a free port; a context manager that ends it."""

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        """Start the service on a data directory that may have been used before."""
        self.settings = Settings(
            data_dir=data_dir,
            port=_free_port(),
            heartbeat_seconds=0.3,
            lease_seconds=2.0,
            **settings,
        )
        data_dir.mkdir(parents=True, exist_ok=True)
        self.client = Client(self.settings.url)
        with (data_dir / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "serve"],
                stdout=log,
                stderr=log,
                env=self.settings.child_environment(),
                start_new_session=True,
            )
        wait_until(self.client.is_ready, 60, pause_seconds=0.1)

    def child(self) -> psutil.Process:
        """Give the process of the running search."""
        children = psutil.Process(self.process.pid).children()
        assert len(children) == 1
        return children[0]

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.process.wait(20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.end(signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
