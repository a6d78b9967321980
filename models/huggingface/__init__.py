"""The library transformers: its architectures, tokenizers and image settings, without its hub and without its code."""
