"""What the pages list is what the code declares."""

import re
from pathlib import Path

import pytest

from common.settings import Settings
from services import tables

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", tables.PAGES)
def test_a_generated_table_is_what_the_code_declares(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")

    assert "<!-- table:" in text
    assert tables.rewritten(text) == text, "run make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_page_of_ours_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_setting_that_the_readme_names_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    sections = Settings.__struct_fields__
    named = re.findall(rf"`({'|'.join(sections)})\.(\w+)", readme)

    assert len(named) > 10
    for section, key in named:
        assert hasattr(getattr(Settings(), section), key), f"{section}.{key}"


def test_every_test_that_the_specification_names_exists() -> None:
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / "spec.md").read_text(encoding="utf-8"))
    written = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")
    )

    assert len(named) > 40
    assert [name for name in named if f"def {name}(" not in written] == []


def test_every_assumption_has_an_id_and_a_place_in_the_paper_acceptance() -> None:
    assumptions = (ROOT / "docs" / "assumptions.md").read_text(encoding="utf-8")
    rows = [line for line in assumptions.splitlines() if line.startswith("| ")]
    rows = [line for line in rows if not line.startswith(("| id |", "| --- |"))]
    ids = [line.split("|")[1].strip() for line in rows]
    page = (ROOT / "docs" / "paper-acceptance.md").read_text(encoding="utf-8")
    placed = set(re.findall(r"`([A-Z]\d+)`", page))

    assert len(rows) > 40
    assert [
        row for row, name in zip(rows, ids, strict=True) if not re.fullmatch(r"[A-Z]\d+", name)
    ] == []
    assert len(set(ids)) == len(ids), "an id stands for one assumption"
    assert set(ids) - placed == set(), "these need a place in docs/paper-acceptance.md"
    assert placed - set(ids) == set(), "these are no assumption of docs/assumptions.md"
