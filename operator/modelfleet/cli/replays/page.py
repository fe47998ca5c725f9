"""A comparison as one HTML file: no scripts, nothing from the network, light or dark as you are."""

from collections.abc import Iterable, Sequence
from html import escape

from modelfleet.cli.replays.lines import Points, ready_of
from modelfleet.cli.replays.table import HEADER, Comparison, cells, heading
from modelfleet.plan.simulation.outcome import Outcome
from modelfleet.plan.simulation.replay import Change

WIDTH, LEFT, HEIGHT, GAP = 900, 60, 220, 26
COLOURS = ("--a", "--b", "--c", "--d")
MOST_CHANGES = 200
"""That are listed; a baseline may have a thousand."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1e21; --faint: #d8dbe0; --fill: #c9d3df;
  --a: #0b62c4; --b: #c4460b; --c: #19803c; --d: #8a2fb0; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e4e6e9; --faint: #3a3f45;
  --fill: #37414d; --a: #62a8ff; --b: #ff9a62; --c: #5fd083; --d: #d18bf0; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  max-width: 960px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; border-bottom: 1px solid var(--faint); }
th:first-child, td:first-child, .told td { text-align: left; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
.line { fill: none; stroke-width: 1.8; } .grid { stroke: var(--faint); }
.load { fill: var(--fill); }
.key { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; }
details { margin-top: 1rem; } summary { cursor: pointer; }
"""


def page_of(comparison: Comparison) -> str:
    """Return the whole file."""
    runs = comparison.runs
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Replay of {escape(comparison.trace)}</title><style>{STYLE}</style></head><body>",
        "<h1>Replay: what a policy would have done</h1>",
        *(f"<p>{escape(line)}</p>" for line in heading(comparison)),
        f'<div class="wide"><table>{_rows(runs)}</table></div>',
        "<h2>Load, in prompt tokens per second</h2>",
        _chart(comparison.load, [], "load in prompt tokens per second over time"),
        "<h2>Ready replicas</h2>",
        _chart((), [ready_of(one) for one in runs], "ready replicas of each run over time"),
        "<h2>Settings</h2>",
        *(f"<p>{_key(place)}{escape(_told(one))}</p>" for place, one in enumerate(runs)),
        *(f"<p>{escape(note)}</p>" for note in comparison.notes),
        *(_decisions(one) for one in runs if any(change.because for change in one.changes)),
        "</body></html>",
    ]
    return "\n".join(parts)


def _told(one: Outcome) -> str:
    return f"{one.name}: {one.settings}"


def _key(place: int) -> str:
    colour = COLOURS[place % len(COLOURS)]
    return f'<span class="key" style="background: var({colour})"></span>'


def _rows(runs: Sequence[Outcome]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in HEADER)
    rows = [f"<tr>{head}</tr>"]
    for place, one in enumerate(runs):
        name, *figures = cells(one)
        body = "".join(f"<td>{escape(cell)}</td>" for cell in figures)
        rows.append(f"<tr><td>{_key(place)}{escape(name)}</td>{body}</tr>")
    return "".join(rows)


def _decisions(one: Outcome) -> str:
    rows = "".join(_change(change) for change in one.changes[:MOST_CHANGES])
    left_out = len(one.changes) - MOST_CHANGES
    more = f"<p>and {left_out} more</p>" if left_out > 0 else ""
    title = f"Changes by {escape(one.name)}, with their reasons"
    table = f'<div class="wide"><table class="told">{rows}</table></div>'
    return f"<details><summary>{title}</summary>{table}{more}</details>"


def _change(change: Change) -> str:
    return (
        f"<tr><td>{_clock(change.at)}</td><td>{change.before} to {change.after}</td>"
        f"<td>{escape(change.because)}</td></tr>"
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


# --- charts -------------------------------------------------------------------


def _chart(area: Points, lines: Sequence[Points], title: str) -> str:
    everything = [*area, *(point for line in lines for point in line)]
    first = min((at for at, _ in everything), default=0.0)
    last = max((at for at, _ in everything), default=1.0)
    most = max((value for _, value in everything), default=1.0) or 1.0
    frame = _Frame(first, max(last - first, 1.0), most)
    drawn = [_steps(line, frame, place) for place, line in enumerate(lines)]
    size = f"0 0 {WIDTH} {HEIGHT + GAP}"
    inner = "".join([frame.grid(), _area(area, frame), *drawn])
    return f'<svg viewBox="{size}" role="img" aria-label="{title}">{inner}</svg>'


class _Frame:
    """Where values are on the chart."""

    def __init__(self, first: float, length: float, most: float) -> None:
        self.first, self.length, self.most = first, length, most * 1.05

    def x(self, at: float) -> float:
        return LEFT + (at - self.first) / self.length * (WIDTH - LEFT - 10)

    def y(self, value: float) -> float:
        return HEIGHT - value / self.most * (HEIGHT - 10)

    def grid(self) -> str:
        return "".join([*self._levels(), *self._hours()])

    def _levels(self) -> Iterable[str]:
        for part in range(5):
            value = self.most / 1.05 * part / 4
            y = self.y(value)
            yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>'

    def _hours(self) -> Iterable[str]:
        for part in range(7):
            at = self.first + self.length * part / 6
            yield (
                f'<text x="{self.x(at):.1f}" y="{HEIGHT + 18}" text-anchor="middle">'
                f"{_clock(at)}</text>"
            )


def _area(points: Points, frame: _Frame) -> str:
    if not points:
        return ""
    path = " ".join(f"{frame.x(at):.1f},{frame.y(value):.1f}" for at, value in points)
    start, end = frame.x(points[0][0]), frame.x(points[-1][0])
    return f'<polygon class="load" points="{start:.1f},{HEIGHT} {path} {end:.1f},{HEIGHT}"/>'


def _steps(points: Points, frame: _Frame, place: int) -> str:
    path = [f"M{frame.x(at):.1f},{frame.y(value):.1f}" for at, value in points[:1]]
    path += [f"H{frame.x(at):.1f}V{frame.y(value):.1f}" for at, value in points[1:]]
    colour = COLOURS[place % len(COLOURS)]
    return f'<path class="line" style="stroke: var({colour})" d="{"".join(path)}"/>'
