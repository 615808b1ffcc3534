# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a terminal showed, with its colours, as a page for a browser."""

import html
import re

# The sixteen colours, as terminals have them by default: 0 to 7, and bright.
COLOURS = {
    False: ("#1f2328", "#b3261e", "#1a7f37", "#9a6700", "#0550ae", "#8250df", "#116f7e", "#59636e",
            "#6e7781", "#b3261e", "#1a7f37", "#9a6700", "#0550ae", "#8250df", "#116f7e", "#1f2328"),
    True: ("#484f58", "#ff7b72", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#76e3ea", "#c9d1d9",
           "#8b949e", "#ff7b72", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#76e3ea", "#f0f6fc"),
}
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: {back}; color: {front} }}
pre {{ margin: 0; padding: 16px 20px; display: inline-block; line-height: 1.35;
       font: 14px/1.35 "DejaVu Sans Mono", "Liberation Mono", monospace }}
</style><pre>{text}</pre>"""


class Unknown(Exception):
    """A sequence that is not understood: better no picture than a wrong one."""


def apply(codes, style, dark):
    """Changes style, a dictionary of CSS, by one sequence of SGR."""
    for code in map(int, (codes or "0").split(";")):
        if code == 0:
            style.clear()
        elif code == 1:
            style["font-weight"] = "bold"
        elif code == 2:
            style["opacity"] = "0.7"
        elif code == 4:
            style["text-decoration"] = "underline"
        elif code == 39:
            style.pop("color", None)
        elif code == 49:
            pass  # nothing here has a background of its own
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style["color"] = COLOURS[dark][code - 30 if code < 90 else code - 82]
        else:
            raise Unknown(f"SGR {code}")


def page(text, dark):
    """HTML of what `tmux capture-pane -e` gave."""
    style, out = {}, []
    for part in re.split("(\x1b\\[[0-9;]*m)", text.rstrip()):
        sequence = re.fullmatch("\x1b\\[([0-9;]*)m", part)
        if sequence:
            apply(sequence[1], style, dark)
        elif "\x1b" in part:
            raise Unknown(repr(part))
        elif part:
            css = ";".join(f"{name}:{value}" for name, value in style.items())
            out.append(f'<span style="{css}">{html.escape(part)}</span>')
    return PAGE.format(text="".join(out), back="#0d1117" if dark else "#ffffff",
                       front="#c9d1d9" if dark else "#1f2328")
