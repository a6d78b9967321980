"""Tests of tokens: every batch padded as the whole would be, tokenised once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.data import tokens
from models.data.prepared_cache import PreparedCache
from models.data.tokens import tokenised
from tests.models.word_tokens import WordTokens

TEXTS = [" ".join(f"w{row}" for _ in range(1 + row * 7 % 11)) for row in range(40)]


@pytest.mark.parametrize("max_length", [5, 16])
def test_batches_are_padded_as_all_texts_together_would_be(
    monkeypatch: pytest.MonkeyPatch, max_length: int
) -> None:
    monkeypatch.setattr(tokens, "BATCH_TEXTS", 3)
    found = tokenised(TEXTS, WordTokens(), max_length, PreparedCache(None))
    whole = WordTokens().encode(TEXTS, max_length)
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[name], whole[name]) for name in whole)
    assert found["input_ids"].shape == (40, min(max_length, 11))


def test_texts_are_tokenised_once_until_anything_changes(tmp_path: Path) -> None:
    rules = WordTokens()
    cache = PreparedCache(tmp_path)
    first, again = (tokenised(TEXTS, rules, 16, cache) for _ in range(2))
    assert rules.n_encoded == len(TEXTS)
    assert all(torch.equal(first[name], again[name]) for name in first)
    tokenised(TEXTS, rules, 4, cache)
    tokenised(TEXTS[1:], rules, 16, cache)
    tokenised(TEXTS, WordTokens(fingerprint="another vocabulary"), 16, cache)
    assert rules.n_encoded == 3 * len(TEXTS) - 1
    assert len(list((tmp_path / "prepared").iterdir())) == 4
