"""Write a text classification task from what every Python brings: of which package is a docstring?

Source files of the standard library are read, never imported.  Columns: ``text``, the docstring; ``label``, the
package; ``definition``, the class or function at the top of a file to which it belongs, so that the docstrings of one
class can be kept in one part of the data.

    python examples/docstrings/write_data.py transfermask-data/inputs/docstrings.csv
"""

from __future__ import annotations

import argparse
import ast
import csv
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path

# In every version from 3.11 on, and with docstrings enough.
PACKAGES = (
    "asyncio",
    "email",
    "http",
    "importlib",
    "logging",
    "multiprocessing",
    "unittest",
    "xml",
)
FEWEST_WORDS = 5
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

Row = tuple[str, str, str]


def docstrings(package: str, library: Path) -> Iterator[Row]:
    """Give text, package and definition of each different docstring, in the order of the files."""
    seen = set[str]()
    for path in sorted((library / package).rglob("*.py")):
        module = path.relative_to(library)
        if {"test", "tests"} & set(module.parts):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for top in (ast.Module(tree.body[:1], []), *tree.body):
            for node in ast.walk(top):
                text = (ast.get_docstring(node) or "") if isinstance(node, DOCUMENTED) else ""
                if len(text.split()) >= FEWEST_WORDS and text not in seen:
                    seen.add(text)
                    yield text, package, f"{module.as_posix()} {getattr(top, 'name', '')}".strip()


def write(path: Path, most: int = 160) -> None:
    """Write the file, at most so many docstrings of each package, and say how many there are."""
    library = Path(sysconfig.get_paths()["stdlib"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label", "definition"))
        for package in PACKAGES:
            found = list(docstrings(package, library))
            # Large packages give no more than small ones; which, is the same everywhere.
            random.Random(0).shuffle(found)
            writer.writerows(found[:most])
            print(f"{package}: {len(found[:most])} of {len(found)}")


def main() -> None:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--most", type=int, default=160, help="docstrings of each package")
    arguments = parser.parse_args()
    write(arguments.output, arguments.most)


if __name__ == "__main__":
    main()
