"""Tests of ledgers: the shared suite, and what is particular to JSON lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from search.errors import LedgerError
from search.ledger import InMemoryLedger, JsonLinesLedger, Ledger, canonical_json
from tests.search.ledger_suite import DECISION, LedgerSuite, evaluation_row


class TestInMemoryLedger(LedgerSuite):
    """Reopening is not possible: both calls give the same object."""

    @pytest.fixture(autouse=True)
    def _ledger(self) -> None:
        self._only = InMemoryLedger()

    def open_ledger(self) -> Ledger:
        return self._only


class TestJsonLinesLedger(LedgerSuite):
    """One file."""

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self._path = tmp_path / "ledger.jsonl"

    def open_ledger(self) -> Ledger:
        return JsonLinesLedger(self._path)

    @pytest.mark.parametrize("n_bytes_lost", [1, 20, 150])
    def test_a_transaction_cut_off_by_a_crash_does_not_count_and_the_next_one_does(
        self, n_bytes_lost: int
    ) -> None:
        ledger = self.open_ledger()
        ledger.append([DECISION])
        ledger.append([evaluation_row("00"), evaluation_row("01")])
        content = self._path.read_bytes()
        self._path.write_bytes(content[:-n_bytes_lost])
        reopened = self.open_ledger()
        assert reopened.rows() == [DECISION]
        reopened.append([evaluation_row("11")])
        assert self.open_ledger().rows() == [DECISION, evaluation_row("11")]

    def test_a_complete_line_that_is_no_row_is_refused_with_file_and_line(self) -> None:
        self.open_ledger().append([DECISION])
        with self._path.open("a") as file:
            file.write('[{"type": "surprise"}]\n')
        with pytest.raises(LedgerError, match=r"ledger\.jsonl, line 2"):
            self.open_ledger()


def test_canonical_form_leaves_out_timings_and_nothing_else() -> None:
    row = evaluation_row()
    slower = replace(row, evaluation=replace(row.evaluation, duration_seconds=99.0))
    better = replace(row, evaluation=replace(row.evaluation, fitness=0.75))
    assert canonical_json([slower]) == canonical_json([row])
    assert canonical_json([better]) != canonical_json([row])
    assert canonical_json([replace(DECISION, timings={})]) == canonical_json([DECISION])
    assert canonical_json([replace(DECISION, value={})]) != canonical_json([DECISION])
