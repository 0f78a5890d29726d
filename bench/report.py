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


def save(page: Path, results: list[Result]) -> None:
    """Puts the table between the page's two markers; ValueError when they are not there."""
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page}: the markers {BEGIN} and {END} are missing")
    page.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}")


def table(results: list[Result]) -> str:
    """A Markdown table, one row a figure."""
    rows = [
        "| # | what | in multiples of | figure | min..max | target | |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        target = result.target
        head = f"| {target.number} | {target.what} | {target.yardstick} |"
        if isinstance(result, NotMeasured):
            rows.append(f"{head} | | {_limit(target)} | not measured: {result.reason} |")
        else:
            figure = f"{_number(result.median)} | {_range(result)}"
            rows.append(f"{head} {figure} | {_limit(target)} | {_verdict(result)} |")
    return "\n".join(rows)


def _limit(target: Target) -> str:
    return f"{'>=' if target.at_least else '<='} {target.limit:g}"


def _number(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"


def _range(figure: Figure) -> str:
    return f"{_number(min(figure.ratios))}..{_number(max(figure.ratios))}"


def _verdict(figure: Figure) -> str:
    verdict = "met" if figure.met else "missed"
    if figure.spread > SPREAD_MAX:
        verdict += f", yardstick unsteady ({figure.spread:.1f}x)"
    return verdict
