"""Writes the README's pictures from a result of the demo.

python -m benchmarks.result_figures demo-output/genetic/result.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from service.figures import mask_over_layers, mask_versus_baselines
from service.result import SearchResult

IMAGES = Path(__file__).parent.parent / "docs" / "images"


def main() -> None:
    """Draw the mask and the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    result = SearchResult.model_validate_json(
        parser.parse_args().result.read_text(encoding="utf-8")
    )
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, draw in (("mask", mask_over_layers), ("baselines", mask_versus_baselines)):
        (IMAGES / f"{name}.svg").write_text(draw(result), encoding="utf-8")


if __name__ == "__main__":
    main()
