"""Choosing a plan by measuring a few training steps on the job's own networks and data."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from models.plans.memory import is_out_of_memory
from models.plans.memory_plan import PLANNED_SHARE
from models.plans.plan import CHUNK_SIZES, Plan, fused_plan
from models.plans.precision import DTypeName
from models.plans.rank_agreement import COMPARED_MASKS, SUFFICIENT_CORRELATION
from models.population import LayoutName
from search.errors import UnsharableTaskError, WorkerFailedError

PROBED_CHUNKS = tuple(size for size in CHUNK_SIZES if size in (2, 4, 8, 16, 32, 64))
# The first chunk that is tried: not more candidates than this, nor more than the loop computes in so many milliseconds.
FIRST_CHUNK, FIRST_CHUNK_MILLISECONDS = 16, 200.0
# Reduced precision costs a comparison: only a search that takes longer tries it.
LONG_SEARCH_SECONDS = 30.0
# Starting processes costs about so many seconds.  Beside as many threads in one process they gain something like this
# share of a search's time for each core but the first; two gained -4 to 7% on the demo.
START_SECONDS, GAIN_PER_CORE = 5.0, 0.03
# The probe may take this share of the time that the search takes by the plain loop, but so many seconds in any case,
# and never more than so many; what is begun then is finished, and one thread is timed in any case.
PROBE_SHARE, FEWEST_SECONDS, MOST_SECONDS = 0.03, 5.0, 120.0
# From here on a step of one candidate keeps the cores busy by itself: chunks gain little and take long to measure.
SLOW_MILLISECONDS = 50.0
# Reduced precision must take at most this share of the time: comparing it costs a small search a twentieth of its time.
WORTHWHILE_PRECISION = 0.75


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """What bounds the choice.

    Attributes:
        threads: Cores of one process; as many processes with one thread each are tried where there is a pool.
        most_candidates: More are never trained side by side.
        planned_steps: Training steps of the whole search, over all candidates.
        candidate_bytes: Memory that one more candidate in a chunk takes.
        process_bytes: Memory that one more process takes before it trains anything.
        available_bytes: Memory that there is.
        has_images: Whether the order of pixels and channels in memory matters.
        has_processes: Whether several processes can compute side by side.
        precisions: Reduced precisions that the device computes faster.
        can_capture: Whether steps can be captured as graphs.
    """

    threads: int
    most_candidates: int
    planned_steps: int
    candidate_bytes: int
    available_bytes: int
    has_images: bool
    has_processes: bool
    precisions: tuple[DTypeName, ...] = ()
    can_capture: bool = False
    process_bytes: int = 0

    @property
    def can_spread(self) -> bool:
        """Whether several processes can have a core each."""
        return self.threads > 1 and self.has_processes

    def needed_bytes(self, plan: Plan) -> int:
        """Memory that a plan takes, beside what there is already."""
        own = self.process_bytes * plan.processes if plan.processes > 1 else 0
        return self.candidate_bytes * plan.candidates_at_once + own


@dataclass(frozen=True, slots=True)
class Instruments:
    """What measures.

    Attributes:
        time: Milliseconds per training step of one candidate by a plan; any number of processes that it asks for.
        rank_correlation: How far a plan in reduced precision ranks masks as float32 does, -1 to 1; None where there are
            no weights by which masks would differ, and no such plan can be taken.
    """

    time: Callable[[Plan], float]
    rank_correlation: Callable[[Plan], float] | None


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """The chosen plan, milliseconds per candidate-step of every plan tried, and why others were not."""

    plan: Plan
    milliseconds: dict[str, float]
    refusals: dict[str, str]


def probe_plans(limits: ProbeLimits, instruments: Instruments) -> ProbeOutcome:
    """Time the loop, fused chunks of several sizes, processes side by side, and what a GPU can do; take the fastest.

    What a limit on the probe's time leaves untried is told among the refusals.
    """
    probe = _Probe(limits, instruments)
    probe.attempt(Plan(layout="loop", threads=limits.threads))
    if probe.is_slow:
        probe.reorder_loop()
        if probe.pays_processes:
            probe.spread_loop()
    probe.fuse()
    if probe.may_loop_win:
        probe.reorder_loop()
    if probe.pays_processes:
        probe.spread_over_processes()
    elif limits.can_spread:
        # Threads that wait for a core which another process has cost more than they gain.
        probe.attempt(probe.best.model_copy(update={"threads": 1}))
    if limits.can_spread and not probe.has_timed_one_thread:
        # On a busy machine the plans of several threads alone may have taken all the time that there was.
        probe.attempt(probe.best.model_copy(update={"threads": 1}), is_due=True)
    if limits.can_capture:
        probe.attempt(probe.best.model_copy(update={"captured": True}))
    if probe.is_long:
        probe.reduce_precision()
    return ProbeOutcome(probe.best, probe.milliseconds, probe.refusals)


def refusal_of(error: Exception) -> str:
    """One line of what a plan could not compute.

    vmap refuses what it cannot transform with a ``RuntimeError``; so does memory that ran out.
    """
    if is_out_of_memory(error):
        return "out of memory"
    if isinstance(error, WorkerFailedError | UnsharableTaskError):
        return error.cause.partition("\n")[0]
    return str(error).partition("\n")[0]


@dataclass
class _Probe:
    """Tries plans and remembers the best."""

    limits: ProbeLimits
    instruments: Instruments
    milliseconds: dict[str, float] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    too_large: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)

    @property
    def best(self) -> Plan:
        """The fastest plan so far."""
        return self.plans[min(self.milliseconds, key=lambda label: self.milliseconds[label])]

    @property
    def planned_seconds(self) -> float:
        """What the whole search takes by the fastest plan so far."""
        return min(self.milliseconds.values()) / 1000 * self.limits.planned_steps

    @property
    def is_long(self) -> bool:
        """Whether a comparison of precisions may pay."""
        return self.planned_seconds >= LONG_SEARCH_SECONDS

    @property
    def pays_processes(self) -> bool:
        """Whether starting processes may pay."""
        gain = GAIN_PER_CORE * (self.limits.threads - 1)
        return self.limits.can_spread and gain * self.planned_seconds >= START_SECONDS

    @property
    def is_slow(self) -> bool:
        """Whether the network is so large that its chunks take long to measure."""
        return min(self.milliseconds.values()) >= SLOW_MILLISECONDS

    @property
    def has_timed_one_thread(self) -> bool:
        """Whether a plan was timed that waits for no other thread."""
        return any(plan.threads == 1 for plan in self.plans.values())

    def attempt(self, plan: Plan, *, is_due: bool = False) -> float:
        """Time one plan.

        Args:
            plan: Which.
            is_due: Even if the probe has taken all its time.

        Returns:
            Milliseconds per candidate-step; infinite if the plan was not or could not be timed.
        """
        if plan.label in self.milliseconds:
            return self.milliseconds[plan.label]
        if plan.label in self.refusals and not is_due:
            return float("inf")
        needed = self.limits.needed_bytes(plan)
        planned = PLANNED_SHARE * self.limits.available_bytes
        if self.milliseconds and not is_due and self._is_out_of_time():
            self.refusals[plan.label] = "not tried: measuring plans had taken long enough"
            return float("inf")
        if needed > planned and plan.candidates_at_once > 1:
            self.too_large.add(plan.label)
            self.refusals[plan.label] = (
                f"needs about {needed / 2**30:.1f} GiB, of which {planned / 2**30:.1f} GiB may be planned with"
            )
            return float("inf")
        taken = self._timed(plan)
        if taken < float("inf"):
            self.milliseconds[plan.label], self.plans[plan.label] = taken, plan
            self.refusals.pop(plan.label, None)
        return taken

    def fuse(self) -> None:
        """Try chunks that train as one network; what has no stacked form goes to vmap."""
        has_images, threads = self.limits.has_images, self.limits.threads
        size = self._climb("stacked", channels_last=has_images)
        if size and has_images:
            self.attempt(fused_plan("stacked", size, threads))
        elif has_images:
            size = self._climb("stacked", channels_last=False)
        if not size:
            self._climb("vmap", channels_last=False)

    @property
    def may_loop_win(self) -> bool:
        """Whether the loop, were every core to run one of its own, would be faster than any chunk so far."""
        best = self._best_fused
        if best is None:
            return True
        by_loops = self._milliseconds_of(self._best_loop) / self.limits.threads
        return by_loops < self._milliseconds_of(best)

    def reorder_loop(self) -> None:
        """Try the loop in the other order of pixels and channels, if there are any."""
        if self.limits.has_images:
            self.attempt(Plan(layout="loop", threads=self.limits.threads, channels_last=True))

    def spread_over_processes(self) -> None:
        """Try the best ways so far with one thread in each of several processes."""
        if self.may_loop_win and self.spread_loop() == float("inf"):
            # Processes cannot be had at all.
            return
        best = self._best_fused
        if best is not None:
            self._spread_fused(best)

    def _spread_fused(self, best: Plan) -> None:
        """Try a chunk's size, and smaller ones as long as that is faster, in every process."""
        fastest = float("inf")
        of_one_process = _sizes_within(self.limits.most_candidates // self.limits.threads)
        largest = min(best.chunk_size, of_one_process[-1])
        for size in (largest, largest // 2, largest // 4):
            if size < PROBED_CHUNKS[0]:
                return
            plan = fused_plan(
                best.layout,
                size,
                1,
                processes=self.limits.threads,
                channels_last=best.channels_last,
            )
            taken = self.attempt(plan)
            if taken >= fastest and plan.label not in self.too_large:
                return
            fastest = min(fastest, taken)

    def spread_loop(self) -> float:
        """Try the best loop so far in several processes; its milliseconds, infinite if they cannot be had."""
        loop = self._best_loop
        return self.attempt(
            loop.model_copy(update={"threads": 1, "processes": self.limits.threads})
        )

    def reduce_precision(self) -> None:
        """Try reduced precision, and give it up if it ranks masks differently."""
        exact = self.best
        for dtype in self.limits.precisions:
            plan = exact.model_copy(update={"dtype": dtype})
            taken = self.attempt(plan)
            if taken == float("inf"):
                continue
            del self.plans[plan.label], self.milliseconds[plan.label]
            if not self._saves_enough(exact, plan, taken):
                self.refusals[plan.label] = f"{taken:.3f} ms: not worth less precision"
                continue
            if self.instruments.rank_correlation is None:
                self.refusals[plan.label] = (
                    f"{taken:.3f} ms; a search takes it if it ranks {COMPARED_MASKS} masks as float32 does"
                )
                continue
            correlation = self.instruments.rank_correlation(plan)
            if correlation < SUFFICIENT_CORRELATION:
                self.refusals[plan.label] = (
                    f"{taken:.3f} ms, but its scores of {COMPARED_MASKS} masks correlate only by "
                    f"{correlation:.2f} with float32's, {SUFFICIENT_CORRELATION} needed"
                )
                continue
            self.plans[plan.label], self.milliseconds[plan.label] = plan, taken

    def _saves_enough(self, exact: Plan, reduced: Plan, taken: float) -> bool:
        """Whether a plan is so much faster that comparing its scores pays: twice, for times are noisy."""
        if taken > WORTHWHILE_PRECISION * self.milliseconds[exact.label]:
            return False
        return self._timed(reduced) <= WORTHWHILE_PRECISION * self._timed(exact)

    def _timed(self, plan: Plan) -> float:
        """Milliseconds per candidate-step; infinite, with the reason, if the plan could not be timed."""
        try:
            return self.instruments.time(plan)
        except (RuntimeError, MemoryError, NotImplementedError, UnsharableTaskError) as error:
            if not self.milliseconds:
                # Nothing is simpler than the loop: what it refuses, everything refuses.
                raise
            self.refusals[plan.label] = refusal_of(error)
            if is_out_of_memory(error):
                self.too_large.add(plan.label)
            return float("inf")

    def _climb(self, layout: LayoutName, *, channels_last: bool) -> int:
        """Try larger chunks, or else smaller ones, as long as they are faster; give the best size, 0 if none works."""
        plans = [
            fused_plan(layout, size, self.limits.threads, channels_last=channels_last)
            for size in _sizes_within(self.limits.most_candidates)
        ]
        place = self._first_place()
        fastest = self.attempt(plans[place])
        while place > 0 and plans[place].label in self.too_large:
            place -= 1
            fastest = self.attempt(plans[place])
        if fastest == float("inf"):
            return 0
        for others in (plans[place + 1 :], plans[:place][::-1]):
            best = plans[place]
            for plan in others:
                taken = self.attempt(plan)
                if taken >= fastest:
                    break
                best, fastest = plan, taken
            if best != plans[place]:
                return best.chunk_size
        return plans[place].chunk_size

    def _first_place(self) -> int:
        """Which of the sizes comes first: a chunk that is worth its overhead and does not take seconds to measure."""
        by_time = FIRST_CHUNK_MILLISECONDS / self._milliseconds_of(self._best_loop)
        return max(
            0,
            sum(
                size <= min(FIRST_CHUNK, by_time)
                for size in _sizes_within(self.limits.most_candidates)
            )
            - 1,
        )

    @property
    def _best_fused(self) -> Plan | None:
        fused = (plan for plan in self.plans.values() if plan.layout != "loop")
        return min(fused, key=self._milliseconds_of, default=None)

    @property
    def _best_loop(self) -> Plan:
        loops = (plan for plan in self.plans.values() if plan.layout == "loop")
        return min(loops, key=self._milliseconds_of)

    def _milliseconds_of(self, plan: Plan) -> float:
        return self.milliseconds[plan.label]

    def _is_out_of_time(self) -> bool:
        by_the_loop = max(self.milliseconds.values()) / 1000 * self.limits.planned_steps
        allowed = min(MOST_SECONDS, max(FEWEST_SECONDS, PROBE_SHARE * by_the_loop))
        return time.monotonic() - self.started > allowed


def _sizes_within(most_candidates: int) -> list[int]:
    """Chunks that so many candidates fill; the smallest in any case."""
    return [size for size in PROBED_CHUNKS if size <= max(most_candidates, PROBED_CHUNKS[0])]
