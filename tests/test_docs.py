"""Documents say what is so."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

from models.inputs import InputFolder
from models.surroundings import Surroundings
from service.composition import check_spec
from service.spec import SearchSpec

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_page_of_the_spec_is_up_to_date() -> None:
    builder = runpy.run_path(str(ROOT / "docs" / "build_spec_page.py"))
    assert (ROOT / "docs" / "spec.md").read_text(encoding="utf-8") == builder["render"]()


def test_the_example_spec_is_valid_and_has_the_nine_genes_of_the_design(tmp_path: Path) -> None:
    document = json.loads((ROOT / "examples" / "digits.json").read_text(encoding="utf-8"))
    table = check_spec(SearchSpec.model_validate(document), Surroundings.of(tmp_path))
    assert [gene.name for gene in table.genes] == [
        *(f"conv{number}" for number in range(1, 7)),
        *(f"linear{number}" for number in range(1, 4)),
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.json")), ids=lambda p: p.name)
def test_every_example_spec_is_valid(path: Path, tmp_path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    allowed = Surroundings(InputFolder(tmp_path), factories=(f"examples.{path.stem}:build",))
    assert check_spec(SearchSpec.model_validate(document), allowed).n_genes > 1


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    for page in folder.glob("0*.md"):
        assert f"({page.name})" in listed


def test_figures_come_with_the_command_and_the_commit_they_were_made_with() -> None:
    for record in (ROOT / "benchmarks" / "results").glob("*.json"):
        conditions = json.loads(record.read_text(encoding="utf-8"))["conditions"]
        assert conditions["command"].startswith(
            f"python -m benchmarks.{record.stem.partition('-')[0]}"
        )
        assert re.match(r"[0-9a-f]{7}", conditions["commit"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_figures_in_a_page_are_those_of_their_record(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name, body in re.findall(r"<!-- ([\w.-]+) -->\n(.*?)<!-- /\1 -->", text, re.DOTALL):
        record = ROOT / "benchmarks" / "results" / f"{name}.md"
        shown, written = (
            [line for line in t.splitlines() if line] for t in (body, record.read_text("utf-8"))
        )
        # A legend that the page has already may be left out, a row of a table or a condition may not.
        assert set(shown) <= set(written)
        assert [line for line in written if line.startswith(("| ", "- "))] == [
            line for line in shown if line.startswith(("| ", "- "))
        ]
