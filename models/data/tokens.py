"""Texts as tensors of tokens: all padded alike, tokenised once and kept by content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from models.data.prepared_cache import PreparedCache, Tensors, content_key
from models.data.preprocessing import TextPreprocessing

# Tokenizers hold much more than the tokens of what they are given at once.
BATCH_TEXTS = 512
_VERSION = "tokens 1"


def tokenised(
    texts: Sequence[str], rules: TextPreprocessing, max_length: int, cache: PreparedCache
) -> Tensors:
    """Give int64 ``(N, T)`` per input name, T the longest text's tokens but at most ``max_length``."""

    def parts() -> Iterator[str]:
        yield _VERSION
        yield rules.fingerprint
        yield str(max_length)
        yield ",".join(rules.input_names)
        yield from texts

    return cache.get(content_key(parts()), lambda: _encode(texts, rules, max_length))


def _encode(texts: Sequence[str], rules: TextPreprocessing, max_length: int) -> Tensors:
    """Tokenise batch by batch, and pad every batch as the widest one is.

    A tokenizer pads to the longest text that it is given, on a side and with numbers of its own.  So a narrower batch
    is tokenised again beside the longest text of all.
    """
    batches = [texts[start : start + BATCH_TEXTS] for start in range(0, len(texts), BATCH_TEXTS)]
    encoded = [dict(rules.encode(batch, max_length)) for batch in batches]
    widths = [_width(tensors) for tensors in encoded]
    width = max(widths)
    if min(widths) < width:
        longest = _longest(batches[widths.index(width)], rules, max_length, width)
        for number, batch in enumerate(batches):
            if widths[number] < width:
                padded = rules.encode([*batch, longest], max_length)
                encoded[number] = {name: tensor[:-1] for name, tensor in padded.items()}
    return {name: torch.cat([tensors[name] for tensors in encoded]) for name in rules.input_names}


def _longest(texts: Sequence[str], rules: TextPreprocessing, max_length: int, width: int) -> str:
    """Find a text of so many tokens among some, by halves."""
    while len(texts) > 1:
        half = texts[: len(texts) // 2]
        is_there = _width(rules.encode(half, max_length)) == width
        texts = half if is_there else texts[len(texts) // 2 :]
    return texts[0]


def _width(tensors: Mapping[str, Tensor]) -> int:
    return max(tensor.shape[1] for tensor in tensors.values())
