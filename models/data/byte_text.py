"""Text as bytes of UTF-8: a tokenizer that needs no vocabulary and no library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

# Token 0 is filling, token b + 1 is byte b.
N_BYTE_TOKENS = 257
LONGEST = 8192


class ByteText:
    """A ``TextPreprocessing`` in which a token is a byte."""

    fingerprint = "bytes-1"
    longest = LONGEST
    input_names = ("input_ids", "attention_mask")

    def encode(self, texts: Sequence[str], max_length: int) -> Mapping[str, Tensor]:
        """Cut after ``max_length`` bytes and fill up with zeros."""
        limit = min(max_length, LONGEST)
        # A lone surrogate, which JSON can write, has no bytes of its own.
        encoded = [text.encode("utf-8", "replace")[:limit] for text in texts]
        length = max((len(content) for content in encoded), default=0)
        tokens = torch.zeros(len(encoded), max(length, 1), dtype=torch.int64)
        for row, content in enumerate(encoded):
            tokens[row, : len(content)] = torch.tensor(list(content), dtype=torch.int64) + 1
        return {"input_ids": tokens, "attention_mask": (tokens > 0).long()}
