"""The supervisor with real processes that stand in for searches."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine

from service.execution.local import LocalChild
from service.queue import Claim, JobQueue
from service.settings import Settings
from service.sql_ledger import SqlLedger
from service.store import SearchStore
from service.supervisor import Supervisor, is_dead, owner_name
from tests.service.conftest import Enqueue
from tests.service.waiting import wait_until

APPEND_ONE_ROW = """
import sys
from search.ledger import DecisionRow, Position
from service.database import connect
from service.settings import Settings
from service.sql_ledger import SqlLedger
ledger = SqlLedger(connect(Settings().sqlalchemy_url), sys.argv[1], int(sys.argv[2]))
rows = ledger.rows()
ledger.append([DecisionRow(Position("search", len(rows)), "plan", {})])
"""
SUCCEED = """
from service.queue import Claim, JobQueue
queue = JobQueue(connect(Settings().sqlalchemy_url), 10)
queue.succeed(Claim(sys.argv[1], int(sys.argv[2]), {}), {}, "exhausted")
"""
SLEEP = "import time; time.sleep(60)"
IGNORE_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
DIE = "import os, signal; os.kill(os.getpid(), signal.{})"


class StandIn:
    """Starts children that run a few lines of Python instead of a search."""

    def __init__(self, settings: Settings, code: str) -> None:
        self.settings, self.code = settings, code
        self.children: list[LocalChild] = []

    def __call__(self, claim: Claim) -> LocalChild:
        arguments = [claim.job_id, str(claim.fencing_token)]
        environment = self.settings.child_environment()
        log = self.settings.data_dir / "log.txt"
        command = [sys.executable, "-c", self.code, *arguments]
        self.children.append(LocalChild(command, log, environment))
        return self.children[-1]


@pytest.fixture
def supervise(queue: JobQueue, settings: Settings) -> Iterator[Callable[[str], StandIn]]:
    supervisors: list[Supervisor] = []

    def supervise(code: str) -> StandIn:
        stand_in = StandIn(settings, code)
        supervisors.append(Supervisor(queue, settings, stand_in))
        supervisors[-1].start()
        return stand_in

    yield supervise
    for supervisor in supervisors:
        supervisor.stop()


def wait_for(store: SearchStore, job_id: str, status: str) -> None:
    wait_until(lambda: store.get(job_id)["status"] == status, 15)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (DIE.format("SIGKILL"), r"signal SIGKILL \(often the out-of-memory killer"),
        (DIE.format("SIGSEGV"), r"signal SIGSEGV"),
        ("import ctypes; ctypes.string_at(0)", r"signal SIGSEGV"),
        (
            "raise RuntimeError('the oven is cold')",
            r"exit code 1\n(.|\n)*RuntimeError: the oven is cold",
        ),
        ("pass", r"exit code 0"),
    ],
)
def test_a_child_that_always_dies_fails_its_job_after_three_deaths_with_the_cause(
    supervise: Callable[[str], StandIn], store: SearchStore, enqueue: Enqueue, code: str, cause: str
) -> None:
    job_id = enqueue()
    stand_in = supervise(code)
    wait_for(store, job_id, "failed")
    assert re.search(cause, store.get(job_id)["error"]["detail"])
    assert len(stand_in.children) == 3


def test_a_child_that_dies_between_new_rows_is_started_until_it_is_done(
    supervise: Callable[[str], StandIn], store: SearchStore, engine: Engine, enqueue: Enqueue
) -> None:
    job_id = enqueue()
    die_unless_done = f"if len(rows) < 4:\n    {DIE.format('SIGKILL')}\n"
    stand_in = supervise(APPEND_ONE_ROW + die_unless_done + SUCCEED)
    wait_for(store, job_id, "succeeded")
    assert len(stand_in.children) == 5
    assert len(SqlLedger(engine, job_id, 0).rows()) == 5


@pytest.mark.parametrize("code", [SLEEP, IGNORE_SIGTERM])
def test_a_cancel_ends_the_child_within_five_seconds(
    supervise: Callable[[str], StandIn], store: SearchStore, enqueue: Enqueue, code: str
) -> None:
    job_id = enqueue()
    stand_in = supervise(code)
    wait_until(lambda: stand_in.children)
    store.cancel(job_id)
    wait_until(lambda: store.get(job_id)["status"] == "cancelled", seconds=5)
    assert stand_in.children[0].exit_status() in (-signal.SIGTERM, -signal.SIGKILL)
    assert len(stand_in.children) == 1


def test_what_a_child_started_ends_with_it(
    supervise: Callable[[str], StandIn], store: SearchStore, enqueue: Enqueue, tmp_path: Path
) -> None:
    note = tmp_path / "grandchild"
    job_id = enqueue()
    supervise(
        "import subprocess, sys, time\n"
        f"grandchild = subprocess.Popen([sys.executable, '-c', {IGNORE_SIGTERM!r}])\n"
        f"open({str(note)!r}, 'w').write(f'{{grandchild.pid}}\\n')\n" + SLEEP
    )
    wait_until(lambda: note.exists() and note.read_text().endswith("\n"))
    store.cancel(job_id)
    wait_for(store, job_id, "cancelled")
    pid = int(note.read_text())
    wait_until(lambda: not is_running(pid))


def test_a_supervisor_that_lost_its_lease_kills_its_child(
    supervise: Callable[[str], StandIn],
    store: SearchStore,
    engine: Engine,
    enqueue: Enqueue,
) -> None:
    job_id = enqueue()
    stand_in = supervise(IGNORE_SIGTERM)
    wait_until(lambda: stand_in.children)
    owner = store.get(job_id)["owner"]
    thief = JobQueue(engine, 60)

    def steal() -> Claim | None:
        thief.free_jobs_of([owner])
        return thief.claim("elsewhere:1:test")

    wait_until(lambda: steal() or store.get(job_id)["owner"] == "elsewhere:1:test")
    wait_until(lambda: stand_in.children[0].exit_status() is not None)
    row = store.get(job_id)
    assert (row["status"], row["owner"], row["deaths"]) == ("running", "elsewhere:1:test", 0)


def test_a_stopped_supervisor_puts_its_jobs_back_into_the_queue(
    queue: JobQueue, settings: Settings, store: SearchStore, enqueue: Enqueue
) -> None:
    job_id = enqueue()
    stand_in = StandIn(settings, SLEEP)
    supervisor = Supervisor(queue, settings, stand_in)
    supervisor.start()
    wait_until(lambda: stand_in.children)
    supervisor.stop()
    assert store.get(job_id)["status"] == "queued"
    assert stand_in.children[0].exit_status() == -signal.SIGTERM


def test_a_child_that_cannot_be_started_fails_its_job(
    queue: JobQueue, settings: Settings, store: SearchStore, enqueue: Enqueue
) -> None:
    def start(claim: Claim) -> LocalChild:
        raise OSError("no space left on device")

    job_id = enqueue()
    supervisor = Supervisor(queue, settings, start)
    supervisor.start()
    wait_for(store, job_id, "failed")
    supervisor.stop()
    assert "no space left on device" in store.get(job_id)["error"]["detail"]


def test_only_so_many_jobs_run_side_by_side(
    supervise: Callable[[str], StandIn], store: SearchStore, enqueue: Enqueue
) -> None:
    first, second = enqueue(), enqueue()
    stand_in = supervise(SLEEP)
    wait_until(lambda: stand_in.children)
    assert [store.get(job_id)["status"] for job_id in (first, second)] == ["running", "queued"]
    store.cancel(first)
    wait_for(store, second, "running")


def test_a_child_stops_when_its_parent_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "child"
    child = (
        "from service.child_process import stop_with_parent; stop_with_parent()\n"
        f"open({str(note)!r}, 'w').close()\n" + SLEEP
    )
    parent = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from service.execution.local import LocalChild\n"
        f"LocalChild([sys.executable, '-c', {child!r}], Path({str(tmp_path / 'log')!r}), dict(os.environ))\n"
        + SLEEP
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    try:
        wait_until(note.exists, 20)
        children = psutil.Process(process.pid).children()
        assert len(children) == 1
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not is_running(children[0].pid), seconds=2)


def test_a_worker_is_known_to_be_dead_only_where_that_can_be_seen() -> None:
    own = owner_name()
    host, process, _ = own.split(":")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert is_dead(f"{host}:{gone.pid}:aaaa", own)
    assert is_dead(f"{host}:{process}:aaaa", own), "the same number, an earlier process"
    assert not is_dead(own, own)
    assert not is_dead(f"{host}:{os.getppid()}:aaaa", own)
    assert not is_dead(f"elsewhere:{gone.pid}:aaaa", own)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
