"""One chain of simanneal's unchanged ``Annealer.anneal()`` loop, run in steps from outside.

The loop runs in a thread of its own, which stops inside ``energy()`` until somebody knows the answer.  Chains are
woken strictly one at a time: simanneal draws from the global ``random`` module, whose state each chain takes with it.
"""

from __future__ import annotations

import math
import random
import signal
import threading
import weakref
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Literal

from simanneal import Annealer

from search.errors import TransferMaskError
from search.genome import Genome
from search.global_random import GlobalRandomStream

CoolingSchedule = Literal["exponential", "linear"]


class _ChainStopped(BaseException):
    """Unwinds simanneal's loop when nobody will ask the chain to go on."""


class FlipAnnealer(Annealer):  # type: ignore[misc]  # simanneal has no annotations
    """simanneal's loop over masks with single flips as moves; subclasses say what a mask's energy is.

    ``trajectory`` lists the state that every move started from: the accepted states, in order.
    """

    copy_strategy = "slice"
    updates = 0

    def __init__(
        self, start: Genome, temperatures: tuple[float, float], cooling: CoolingSchedule, steps: int
    ) -> None:
        """Set the schedule: ``temperatures`` at the first and the last step, in units of energy.

        Raises:
            TransferMaskError: Called outside the main thread, where simanneal cannot be constructed.
        """
        if threading.current_thread() is not threading.main_thread():
            raise TransferMaskError(
                "the annealing optimizer was started in a thread, expected the main thread: simanneal "
                "installs a signal handler when it is constructed; run the search in a process of its own"
            )
        handler = signal.getsignal(signal.SIGINT)
        super().__init__(initial_state=list(start.keeps))
        # simanneal replaced Ctrl-C by a flag; the caller's handler comes back at once.
        signal.signal(signal.SIGINT, handler)
        self.trajectory: list[Genome] = []
        self.steps = steps
        self._hottest, self._coldest = temperatures
        self._is_linear = cooling == "linear"
        self.Tmin = self._hottest if self._is_linear else self._coldest

    @property
    def Tmax(self) -> float:  # noqa: N802 - simanneal's name
        """The temperature that simanneal reads anew at every step.

        Exponential cooling is simanneal's own.  For linear cooling ``Tmin`` equals the first value read, which makes
        simanneal's own factor 1, and this property falls.
        """
        if not self._is_linear:
            return self._hottest
        # Read once before the first move, then once in each step before its move.
        share = len(self.trajectory) / self.steps
        return self._hottest + (self._coldest - self._hottest) * share

    def move(self) -> None:
        """Flip one random gene in place."""
        self.trajectory.append(Genome(tuple(self.state)))
        gene = random.randrange(len(self.state))
        self.state[gene] = not self.state[gene]


class _AskingAnnealer(FlipAnnealer):
    """An annealer whose energies come from the other end of two queues."""

    wanted: SimpleQueue[Genome | BaseException | None]
    answers: SimpleQueue[float | None]

    def energy(self) -> float:
        self.wanted.put(Genome(tuple(self.state)))
        answer = self.answers.get()
        if answer is None:
            raise _ChainStopped
        return answer


class ChainRunner:
    """Runs one annealing chain a stretch at a time; a runner that is dropped ends its thread."""

    def __init__(
        self,
        *,
        start: Genome,
        temperatures: tuple[float, float],
        cooling: CoolingSchedule,
        steps: int,
        seed: int,
    ) -> None:
        """Prepare a chain of ``steps`` moves; nothing runs before ``advance``.

        Args:
            start: First state; its energy is asked for as well.
            temperatures: At the start and at the end, above 0, in units of energy.
            cooling: How the temperature falls in between.
            steps: Number of moves.
            seed: As for ``random.seed``: with equal seeds the chain moves as simanneal alone would.
        """
        self._annealer = _AskingAnnealer(start, temperatures, cooling, steps)
        self._annealer.wanted = SimpleQueue()
        self._annealer.answers = SimpleQueue()
        self._stream = GlobalRandomStream(seed)
        self._thread = threading.Thread(target=_run, args=(self._annealer,), daemon=True)
        self._wanted: Genome | None = None
        self._is_started = False
        weakref.finalize(self, self._annealer.answers.put, None)

    @property
    def trajectory(self) -> list[Genome]:
        """The accepted states so far: the one that each move started from."""
        return list(self._annealer.trajectory)

    def advance(self, energies: Mapping[Genome, float]) -> Genome | None:
        """Go on with the known energies until one is missing.

        Returns:
            The mask whose energy is missing; None once the chain has made all its moves.
        """
        if not self._is_started:
            self._is_started = True
            with self._stream:
                self._thread.start()
                self._wanted = self._next_wanted()
        while self._wanted is not None and self._wanted in energies:
            energy = energies[self._wanted]
            if not math.isfinite(energy):
                raise ValueError(f"energy {energy} of {self._wanted}: simanneal needs finite ones")
            with self._stream:
                self._annealer.answers.put(energy)
                self._wanted = self._next_wanted()
        return self._wanted

    def _next_wanted(self) -> Genome | None:
        wanted = self._annealer.wanted.get()
        if isinstance(wanted, BaseException):
            raise wanted
        return wanted


def _run(annealer: _AskingAnnealer) -> None:
    """Body of a chain's thread; holds no reference to the runner, so that the runner can be dropped."""
    ending: BaseException | None = None
    try:
        annealer.anneal()
    except _ChainStopped:
        return
    except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for this thread
        ending = error
    annealer.wanted.put(ending)
