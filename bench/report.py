# SPDX-License-Identifier: Apache-2.0
"""What the measurements say: the table, the same as Markdown, and the plot."""

import datetime
import html
import math
import pathlib
import re
import statistics
from dataclasses import dataclass, field


@dataclass
class Row:
    """One program. Ratios are the faster peer's time / ours: above 1 is faster than it."""
    name: str
    group: str
    cold: float | None = None
    cold_cpu: float | None = None
    warm: float | None = None
    warm_cpu: float | None = None
    native: float | None = None  # our time / the machine's own
    peer: str = ""  # which was the faster
    broken: str = ""
    wrong: str = ""  # peers whose output is not the machine's own
    seconds: dict[str, float] = field(default_factory=dict)  # medians, for people who ask


COLUMNS = [("cold", "cold"), ("cold_cpu", "cold, CPU"), ("warm", "warm"), ("warm_cpu", "warm, CPU")]


def geometric_mean(values: list[float]) -> float | None:
    return math.exp(statistics.fmean(map(math.log, values))) if values else None


def mean_row(rows: list[Row]) -> Row:
    """Over the programs that a column has a figure for."""
    def mean(column: str) -> float | None:
        return geometric_mean([v for r in rows if (v := getattr(r, column)) and not r.broken])
    return Row("geometric mean", "", *(mean(c) for c in ("cold", "cold_cpu", "warm", "warm_cpu", "native")))


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def head() -> str:
    return f"{'':26}" + "".join(f"{title:>11}" for _, title in COLUMNS) + f"{'native':>11}  the faster peer"


def line(row: Row) -> str:
    if row.broken:
        return f"{row.name:26} broken: {row.broken}"
    return (f"{row.name:26}" + "".join(f"{number(getattr(row, c)):>11}" for c, _ in COLUMNS)
            + f"{number(row.native):>11}  {row.peer}"
            + (f"; wrong: {row.wrong}" if row.wrong else ""))


def markdown(rows: list[Row], memory: float | None, about: str) -> str:
    text = [about, "", "| program | cold | cold, CPU | warm | warm, CPU | our time / native |", "|---|---|---|---|---|---|"]
    for row in [*rows, mean_row(rows)]:
        cells = ["broken"] * 5 if row.broken else [number(getattr(row, c)) for c, _ in COLUMNS] + [number(row.native)]
        mark = "**" if row.name == "geometric mean" else ""
        text.append(f"| {mark}{row.name}{mark} | " + " | ".join(f"{mark}{c}{mark}" if c != "-" else c for c in cells) + " |")
    if memory is not None:
        text += ["", f"Resident memory of `python3 -c pass`: {memory:.2f} times the smaller peer's."]
    return "\n".join(text) + "\n"


def into_readme(path: pathlib.Path, name: str, text: str) -> None:
    """Between the two marks of that name."""
    old = path.read_text()
    new, count = re.subn(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m: m[1] + text + m[2], old, flags=re.S)
    if count != 1:
        raise SystemExit(f"bench: {path} has no place marked <!-- {name} --> ... <!-- /{name} -->")
    path.write_text(new)


STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .small { font-size: 10.5px; fill: #59636e }
  .group { font-weight: 600 }
  .grid { stroke: #d1d9e0 } .one { stroke: #59636e; stroke-width: 1.5 }
  .cold { fill: #2f81c7 } .warm { fill: #e08a1e } .back { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .grid { stroke: #3d444d } .one { stroke: #9198a1 }
    .cold { fill: #58a6e8 } .warm { fill: #f0a848 } .back { fill: #0d1117 }
  }
"""


def plot(rows: list[Row], title: str) -> str:
    """Bars on a logarithmic axis; a bar starts at 1, where both are equally fast."""
    rows = [r for r in rows if r.cold and not r.broken] 
    rows = [*rows, mean_row(rows)]
    values = [v for r in rows for v in (r.cold, r.warm) if v]
    low, high = min([0.5, *values]) / 1.1, max([8, *values]) * 1.1
    left, width, bar, top = 170, 560, 9, 62
    warm = any(r.warm for r in rows)
    step = (2 * bar if warm else bar) + 8

    def x(value: float) -> float:
        return left + width * math.log(value / low) / math.log(high / low)

    bottom = top + step * len(rows) + 4
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 60} {bottom + 26}" role="img">',
           f"<title>{html.escape(title)}</title><style>{STYLE}</style>",
           f'<rect class="back" width="100%" height="100%" rx="6"/>',
           f'<text class="group" x="14" y="22">{html.escape(title)}</text>',
           '<rect class="cold" x="14" y="33" width="10" height="10"/><text x="29" y="42">nothing translated before</text>']
    if warm:
        out.append('<rect class="warm" x="194" y="33" width="10" height="10"/>'
                   '<text x="209" y="42">with the persistent cache of the run before</text>')
    for tick in (t for t in (0.125, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 50, 100) if low <= t <= high):
        kind = "one" if tick == 1 else "grid"
        out.append(f'<line class="{kind}" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top - 6}" y2="{bottom}"/>'
                   f'<text class="small" x="{x(tick):.1f}" y="{bottom + 15}" text-anchor="middle">{tick:g}</text>')
    for n, row in enumerate(rows):
        y = top + n * step
        middle = y + (step - 8) / 2 + 4
        kind = ' class="group"' if row.name == "geometric mean" else ""
        out.append(f'<text{kind} x="{left - 8}" y="{middle:.1f}" text-anchor="end">{html.escape(row.name)}</text>')
        for column, offset in (("cold", 0), ("warm", bar)):
            value = getattr(row, column)
            if not value:
                continue
            a, b = sorted((x(1), x(value)))
            out.append(f'<rect class="{column}" x="{a:.1f}" y="{y + offset}" width="{b - a:.1f}" height="{bar - 1}"/>'
                       f'<text class="small" x="{b + 4:.1f}" y="{y + offset + 8}">{number(value)}</text>')
    return "\n".join(out) + "\n</svg>\n"


def today() -> str:
    return datetime.date.today().isoformat()
