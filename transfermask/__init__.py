"""Search which layers of a pretrained network to transfer and which to keep.

    import transfermask

    result = transfermask.search("examples/digits.json", folder="digits")
    print(result.mask, result.verdict.text)

These names are all that is promised; everything else may change between versions.
"""

from service.client import Client
from service.library import apply_mask, load_spec, search

__all__ = ["Client", "apply_mask", "load_spec", "search"]
