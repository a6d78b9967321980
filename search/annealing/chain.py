"""One chain of simanneal's unchanged ``Annealer.anneal()`` loop, run in steps from outside.

The loop runs in a thread of its own, which stops twice per move: before it, until somebody says at what temperature,
and inside ``move()``, until somebody knows how much the proposed mask's energy differs.  simanneal takes a difference
that ``move()`` returns as it is, so that both energies can be estimated anew for every decision.  Chains are woken
strictly one at a time: simanneal draws from the global ``random`` module, whose state each chain takes with it.
"""

from __future__ import annotations

import math
import random
import signal
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from simanneal import Annealer

from search.errors import TransferMaskError
from search.genome import Genome
from search.global_random import GlobalRandomStream

# More moves than any budget pays for: such a chain ends when nobody goes on with it.
ENDLESS = 10**9


class _ChainStopped(BaseException):
    """Unwinds simanneal's loop when nobody will ask the chain to go on."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Where a move would lead.

    Attributes:
        genome: The proposed mask.
        expected_delta: What the choice of the mask took its energy to be above the current one's.  The acceptance rule
            sees only the rest of the difference: for what was expected, the choice itself has already obeyed the rule.
            0 where masks were proposed blindly.
    """

    genome: Genome
    expected_delta: float = 0.0


@dataclass(frozen=True, slots=True)
class Move:
    """A mask that a chain stands on and the one it may go to."""

    current: Genome
    proposal: Proposal


# Proposes from a mask at a temperature; draws from the global ``random`` module alone.
Proposer = Callable[[Genome, float], Proposal]


def flip_any(genome: Genome, temperature: float) -> Proposal:  # noqa: ARG001 - the same for every proposer
    """Flip one gene, each with the same chance."""
    return Proposal(genome.flipped(random.randrange(genome.n_genes)))


class _AskingAnnealer(Annealer):  # type: ignore[misc]  # simanneal has no annotations
    """simanneal's loop; temperatures and differences in energy come from the other end of two queues."""

    copy_strategy = "slice"
    updates = 0
    # Equal to ``Tmax`` on entry, which makes simanneal's own cooling factor 1.
    Tmin = 1.0

    def __init__(self, start: Genome, propose: Proposer, steps: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise TransferMaskError(
                "the annealing optimizer was started in a thread, expected the main thread: simanneal "
                "installs a signal handler when it is constructed; run the search in a process of its own"
            )
        handler = signal.getsignal(signal.SIGINT)
        super().__init__(initial_state=list(start.keeps))
        # simanneal replaced Ctrl-C by a flag; the caller's handler comes back at once.
        signal.signal(signal.SIGINT, handler)
        self.steps = steps
        self._propose = propose
        self._is_moving = False
        self._temperature = self.Tmin
        self.reached: SimpleQueue[Genome | Move | BaseException | None] = SimpleQueue()
        self.answers: SimpleQueue[float | None] = SimpleQueue()

    @property
    def Tmax(self) -> float:  # noqa: N802 - simanneal's name
        """The temperature that simanneal reads anew at every step, before the move."""
        if self._is_moving:
            self._temperature = self._answer_to(self._genome)
        return self._temperature

    def energy(self) -> float:
        # Asked for once, before the first move; only differences count.
        self._is_moving = True
        return 0.0

    def move(self) -> float:
        proposal = self._propose(self._genome, self._temperature)
        delta = self._answer_to(Move(self._genome, proposal))
        self.state = list(proposal.genome.keeps)
        return delta

    @property
    def _genome(self) -> Genome:
        return Genome(tuple(self.state))

    def _answer_to(self, question: Genome | Move) -> float:
        self.reached.put(question)
        answer = self.answers.get()
        if answer is None:
            raise _ChainStopped
        return answer


class ChainRunner:
    """Runs one annealing chain a move at a time; a runner that is dropped ends its thread.

    ``propose`` and ``settle`` are called in turns.  ``trajectory`` lists the states that the moves started from.
    """

    def __init__(
        self, *, start: Genome, propose: Proposer, seed: int, steps: int = ENDLESS
    ) -> None:
        """Prepare a chain of ``steps`` moves; nothing runs before ``propose``.

        Args:
            start: First state.
            propose: Called in the chain's thread; must not hold the runner, or its thread would never end.
            seed: As for ``random.seed``: with equal seeds the chain moves as simanneal alone would.
            steps: Number of moves.

        Raises:
            TransferMaskError: Called outside the main thread, where simanneal cannot be constructed.
        """
        self._annealer = _AskingAnnealer(start, propose, steps)
        self._stream = GlobalRandomStream(seed)
        self._thread = threading.Thread(target=_run, args=(self._annealer,), daemon=True)
        self.state = start
        self.pending: Move | None = None
        self.trajectory: list[Genome] = []
        self._is_started = self._is_finished = False
        weakref.finalize(self, self._annealer.answers.put, None)

    def propose(self, temperature: float) -> Move | None:
        """Make the next move at a temperature above 0, in units of energy, up to the question what it costs.

        Returns:
            What ``settle`` must answer, also kept as ``pending``; None once the chain has made all its moves.
        """
        if not self._is_started:
            self._is_started = True
            with self._stream:
                self._thread.start()
                self._take(self._annealer.reached.get())
        if self._is_finished:
            return None
        self.trajectory.append(self.state)
        self._go_on(temperature)
        return self.pending

    def settle(self, delta: float) -> bool:
        """Let simanneal accept or refuse the pending move.

        Args:
            delta: Energy of the proposed mask minus that of the current one.

        Returns:
            Whether the move was accepted; unknown, and so False, of the last one.

        Raises:
            ValueError: ``delta`` is not finite.
        """
        move = self.pending
        if not math.isfinite(delta) or move is None:
            raise ValueError(
                f"difference {delta} for {move}: simanneal needs a move and finite ones"
            )
        self.pending = None
        self._go_on(delta)
        return self.state == move.proposal.genome

    def _go_on(self, answer: float) -> None:
        with self._stream:
            self._annealer.answers.put(answer)
            reached = self._annealer.reached.get()
        self._take(reached)

    def _take(self, reached: Genome | Move | BaseException | None) -> None:
        if isinstance(reached, BaseException):
            raise reached
        if isinstance(reached, Genome):
            self.state = reached
        elif isinstance(reached, Move):
            self.pending = reached
        else:
            self._is_finished = True


def _run(annealer: _AskingAnnealer) -> None:
    """Body of a chain's thread; holds no reference to the runner, so that the runner can be dropped."""
    ending: BaseException | None = None
    try:
        annealer.anneal()
    except _ChainStopped:
        return
    except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for this thread
        ending = error
    annealer.reached.put(ending)
