"""How a result reads: one line on the terminal, one row in docs/performance.md."""

from __future__ import annotations

from pathlib import Path

from bench.ratio import SPREAD_MAX, Figure, NotMeasured, Result, Target

BEGIN = "<!-- figures: python -m bench --save -->"
END = "<!-- end of figures -->"


def line(result: Result) -> str:
    """Number, what, figure with min..max, target, verdict; at most two terminal lines wide."""
    target = result.target
    head = f"{target.number:>2}  {target.what:<46}"
    limit = f"target {_limit(target):<8}"
    if isinstance(result, NotMeasured):
        return f"{head} {'not measured: ' + result.reason} {limit}"
    figure = f"{_number(result.median):>6} ({_range(result)})"
    return f"{head} {figure:<24} {limit} {_verdict(result):<7} x {target.yardstick}"


def save(page: Path, results: list[Result], *, keep_others: bool = False) -> None:
    """Puts the table between the page's two markers; ValueError when they are not there.

    `keep_others`: rows of numbers that were not measured stay as they are.
    """
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page}: the markers {BEGIN} and {END} are missing")
    head, rows = table(results)
    if keep_others:
        measured = {result.target.number for result in results}
        known = old.strip().splitlines()[len(head) :]
        rows += [row for row in known if _row_number(row) not in measured]
    lines = "\n".join([*head, *sorted(rows, key=_row_number)])
    page.write_text(f"{before}{BEGIN}\n{lines}\n{END}{after}")


def table(results: list[Result]) -> tuple[list[str], list[str]]:
    """The head of a Markdown table, and its rows, one a figure."""
    head = [
        "| # | what | in multiples of | figure | min..max | target | |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = []
    for result in results:
        target = result.target
        first = f"| {target.number} | {target.what} | {target.yardstick} |"
        if isinstance(result, NotMeasured):
            rows.append(f"{first} | | {_limit(target)} | not measured: {result.reason} |")
        else:
            figure = f"{_number(result.median)} | {_range(result)}"
            rows.append(f"{first} {figure} | {_limit(target)} | {_verdict(result)} |")
    return head, rows


def _row_number(row: str) -> int:
    return int(row.split("|")[1])


def _limit(target: Target) -> str:
    if target.limit is None:
        return "none"
    return f"{'>=' if target.at_least else '<='} {target.limit:g}"


def _number(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"


def _range(figure: Figure) -> str:
    return f"{_number(min(figure.ratios))}..{_number(max(figure.ratios))}"


def _verdict(figure: Figure) -> str:
    verdict = {True: "met", False: "missed", None: "told"}[figure.met]
    if figure.spread > SPREAD_MAX:
        verdict += f", yardstick unsteady ({figure.spread:.1f}x)"
    return verdict
