"""What every ledger promises, as one suite.  A subclass gives ``open_ledger``, called twice for reopening."""

from __future__ import annotations

from search.evaluation import Arm, Candidate, Evaluation, Outcome
from search.genome import Genome
from search.ledger import DecisionRow, EvaluationRow, Ledger, Position, Row, canonical_json

# 0.1 + 0.2 and a subnormal: values that a rounding store would change.
AWKWARD_FLOATS = (0.1 + 0.2, 5e-324, 1 / 3)


def evaluation_row(
    mask: str = "0110", chunk: int = 0, fitness: float | None = 0.5
) -> EvaluationRow:
    """One row as a search writes it."""
    outcome = Outcome.DIVERGED if fitness is None else Outcome.MEASURED
    candidate = Candidate(Genome.from_bitstring(mask), 40, 2, Arm(1 / 3000))
    loss = None if fitness is None else 1 / 7
    return EvaluationRow(
        Position("search", 3, chunk), Evaluation(candidate, outcome, fitness, 0.25, loss)
    )


DECISION = DecisionRow(
    Position("preparing"), "plan", {"layout": "vmap", "chunks": [1, 4]}, {"vmap": 0.001}
)


class LedgerSuite:
    """Tests that every implementation passes."""

    def open_ledger(self) -> Ledger:
        """Open the ledger under test; a second call must see what the first one wrote."""
        raise NotImplementedError

    def test_a_new_ledger_is_empty(self) -> None:
        assert self.open_ledger().rows() == []

    def test_rows_come_back_equal_and_in_order_after_reopening(self) -> None:
        rows: list[Row] = [
            DECISION,
            evaluation_row(),
            evaluation_row("1110", chunk=1, fitness=None),
        ]
        ledger = self.open_ledger()
        ledger.append(rows[:1])
        ledger.append(rows[1:])
        assert ledger.rows() == rows
        assert self.open_ledger().rows() == rows

    def test_floats_come_back_bit_for_bit(self) -> None:
        rows = [
            evaluation_row(mask, fitness=value)
            for mask, value in zip(("00", "01", "10"), AWKWARD_FLOATS, strict=True)
        ]
        self.open_ledger().append(rows)
        assert self.open_ledger().rows() == rows

    def test_the_list_of_rows_is_a_copy(self) -> None:
        ledger = self.open_ledger()
        ledger.append([evaluation_row()])
        ledger.rows().clear()
        assert len(ledger.rows()) == 1

    def test_canonical_form_is_the_same_after_reopening(self) -> None:
        ledger = self.open_ledger()
        ledger.append([DECISION, evaluation_row()])
        assert canonical_json(self.open_ledger().rows()) == canonical_json(ledger.rows())
