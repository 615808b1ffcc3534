# SPDX-License-Identifier: LGPL-2.1-or-later
"""The picture of a run: how many times more, or less, the others take. An SVG, by hand."""

import html
import math
import statistics

LEFT, WIDTH, RIGHT = 400, 400, 80   # names, bars, figures
LINE, BAR, HEAD = 20, 12, 34
LEAST, MOST = 0.25, 1000            # beyond these a bar is cut; its figure is not

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 } .note, .axis { fill: #59636e } .axis { font-size: 11px }
.well { fill: #1a7f37 } .ill { fill: #bc4c00 } line { stroke: #d1d9e0 } .one { stroke: #59636e }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .note, .axis { fill: #9198a1 } .well { fill: #3fb950 }
  .ill { fill: #db6d28 } line { stroke: #3d444d } .one { stroke: #9198a1 } }
"""


def advantage(row):
    """How many times as much the other takes, or how many times as much healthd does."""
    factors = [1 / ratio if row.better == "less" else ratio
               for ratio in row.ratios() if 0 < ratio < math.inf]
    return statistics.median(factors) if factors else None


def position(value):
    share = math.log(min(max(value, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return LEFT + share * WIDTH


def text(x, y, words, kind="", anchor="start"):
    mark = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{mark}>{html.escape(words)}</text>'


def bar(y, row, value):
    one, end = position(1), position(value)
    kind = "well" if value >= 1 else "ill"
    digits = 0 if value >= 10 else 1 if value >= 2 else 2
    return [text(LEFT - 8, y + BAR - 2, f"{row.what.strip()} · {row.other}", anchor="end"),
            f'<rect x="{min(one, end):.1f}" y="{y}" width="{max(abs(end - one), 1):.1f}" '
            f'height="{BAR}" rx="2" class="{kind}"/>',
            text(max(one, end) + 5, y + BAR - 2, f"{value:.{digits}f}")]


def axis(top, bottom):
    parts = []
    for value in (0.25, 1, 10, 100, 1000):
        x = position(value)
        one = ' class="one"' if value == 1 else ""
        parts += [f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"{one}/>',
                  text(x, bottom + 14, f"{value:g}", "axis", "middle")]
    return parts


def draw(tables, machine):
    """tables: (title, rows), as they were printed. Rows without `better` are left out."""
    parts, y = [], HEAD + 18
    for title, rows in tables:
        shown = [(row, advantage(row)) for row in rows if row.better and row.compared()]
        shown = [(row, value) for row, value in shown if value is not None]
        if not shown:
            continue
        y += 8
        parts.append(text(8, y + BAR, title, "title"))
        y += LINE
        for row, value in shown:
            parts += bar(y, row, value)
            y += LINE
    size = f'width="{LEFT + WIDTH + RIGHT}" height="{y + 24}"'
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="healthd and '
            f'its peers: ratios">', f"<style>{STYLE}</style>",
            text(8, 18, "How many times better healthd is than the other in the same run "
                        "(below 1: worse)", "title"),
            text(8, 36, machine, "note"), *axis(HEAD + 14, y)]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"
