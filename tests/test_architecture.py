"""The direction of imports, the size of modules and functions, and what the package list promises."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Each package may import itself and those after it.
LAYERS = ["transfermask", "service", "models", "search"]
FORBIDDEN = {
    "search": {"torch", "fastapi", "sqlalchemy", "uvicorn", "ray"},
    "models": {"fastapi", "sqlalchemy", "uvicorn"},
}
MAX_MODULE_LINES, MAX_FUNCTION_LINES = 400, 60


def modules(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Top-level packages that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", LAYERS)
def test_imports_go_one_way(package: str) -> None:
    above = set(LAYERS[: LAYERS.index(package)]) | FORBIDDEN.get(package, set())
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imported(path)
        if name in above
    }
    assert not wrong


def test_the_import_check_can_fail(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("def f():\n    from torch.nn import Linear\n")
    assert list(imported(module)) == ["torch"]


@pytest.mark.parametrize("path", modules(*LAYERS, "benchmarks", "tests"), ids=lambda p: p.name)
def test_modules_and_functions_can_be_held_in_the_head(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"


def test_the_package_list_names_every_folder_with_modules() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in modules(*LAYERS)}
    assert set(listed["tool"]["setuptools"]["packages"]) == folders


def test_importing_the_search_package_loads_nothing_that_takes_seconds() -> None:
    import subprocess
    import sys

    heavy = {"torch", "scipy.stats", "sklearn", "matplotlib"}
    code = f"import sys, search.final, search.optimizers; print({heavy} & set(sys.modules))"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert printed.stdout.strip() == "set()"
