"""The picture of equity curves: well-formed, on one scale, every line named apart."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from datetime import date

import pytest

from services.backtest.picture import NAME_HEIGHT, Curve, svg

SVG = "{http://www.w3.org/2000/svg}"
DAYS = (date(2023, 7, 3), date(2024, 1, 2), date(2025, 6, 30))
CURVES = [
    Curve("doubled & more", DAYS, (100_000.0, 200_000.0, 400_000.0)),
    Curve("nearly the same", DAYS, (100_000.0, 190_000.0, 399_000.0)),
    Curve("lost", DAYS, (100_000.0, 80_000.0, 25_000.0)),
]


@pytest.fixture(scope="module")
def drawn() -> ET.Element:
    return ET.fromstring(svg("Three <curves>", CURVES))  # noqa: S314  (our own text)


def test_each_curve_is_a_line_through_all_its_closes(drawn: ET.Element) -> None:
    lines = [line.attrib["points"].split() for line in drawn.iter(f"{SVG}polyline")]

    assert [len(points) for points in lines] == [3, 3, 3]


def test_equal_growth_is_an_equal_climb(drawn: ET.Element) -> None:
    first = next(drawn.iter(f"{SVG}polyline")).attrib["points"].split()
    heights = [float(point.split(",")[1]) for point in first]

    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)


def test_names_do_not_stand_on_each_other(drawn: ET.Element) -> None:
    names = {curve.name for curve in CURVES}
    at = sorted(float(text.attrib["y"]) for text in drawn.iter(f"{SVG}text") if text.text in names)

    assert len(at) == 3
    assert all(below - above >= NAME_HEIGHT for above, below in itertools.pairwise(at))


def test_years_and_round_amounts_are_marked(drawn: ET.Element) -> None:
    texts = {text.text for text in drawn.iter(f"{SVG}text")}

    assert {"2024", "2025", "$50,000", "$100,000", "$200,000", "Three <curves>"} <= texts
