"""Layout for terminals of any width: a table if it fits, else records; names and commands are never broken."""

import io
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

COLOURS = {
    **dict.fromkeys(("delivered", "passed", "ok", "closed", "valid", "yes", "accepted"), "green"),
    **dict.fromkeys(("retrying", "held", "half_open", "expiring", "note", "sending", "queued"), "yellow"),
    **dict.fromkeys(("parked", "failed", "wrong", "open", "invalid", "missing", "rejected"), "bold red"),
    **dict.fromkeys(("skipped", "expired", "unconfirmed"), "cyan"),
}
"""The colour of a word, in every cell that consists of it."""

Row = Mapping[str, Any]

_PROSE_CHARACTERS = 24
"""A cell that is longer, and has blanks, is a text that may be wrapped; any other is a name or a number."""

_PROSE_WIDTH = 16
_GAP = 2
_MARGIN = "  "


def heading(name: str) -> str:
    """Turns a JSON name into the words of a heading: `nextAttempt` is `next attempt`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()


def fitted(console: Console, rows: Sequence[Row], columns: Sequence[str], title: str = "") -> RenderableType:
    """Lays rows out as a table where every name fits on a line, else as records; without columns that are empty."""
    filled = [name for name in columns if any(text_of(row.get(name)) for row in rows)] or list(columns)
    sizes = [_sizes(heading(name), [text_of(row.get(name)) for row in rows]) for name in filled]
    room = console.width - _GAP * (len(filled) - 1) - sum(least for least, _ in sizes)
    if room < 0:
        return Group(*records(rows, filled, title, console.width))
    return table(rows, filled, _widths(sizes, room), title)


def table(rows: Sequence[Row], columns: Sequence[str], widths: Sequence[int], title: str = "") -> Table:
    """Lays rows out as a table whose columns have these widths: Rich's own may cut a word of a text off."""
    drawn = Table(title=title or None, title_justify="left", title_style="bold", header_style="bold", box=None)
    drawn.padding, drawn.pad_edge = (0, _GAP, 0, 0), False
    for name, width in zip(columns, widths, strict=True):
        cells = [text_of(row.get(name)) for row in rows]
        justify: Any = "right" if all(cell.isdigit() for cell in cells if cell) else "left"
        drawn.add_column(heading(name), justify=justify, width=width, overflow="fold")
    for row in rows:
        drawn.add_row(*(_cell(row.get(name)) for name in columns))
    return drawn


def _sizes(head: str, cells: Sequence[str]) -> tuple[int, int]:
    """Returns the least width of a column and the one that it likes: texts and headings may be wrapped."""
    words = max((len(word) for text in (head, *cells) for word in text.split()), default=0)
    longest = max([words, *map(len, cells)])
    return max(_PROSE_WIDTH, words) if _is_prose(cells) else longest, max(longest, len(head))


def _widths(sizes: Sequence[tuple[int, int]], room: int) -> list[int]:
    """Shares the room that is left among the columns that like more, in proportion."""
    wanted = sum(liked - least for least, liked in sizes)
    share = min(1.0, room / wanted) if wanted else 0.0
    return [least + int((liked - least) * share) for least, liked in sizes]


def records(rows: Sequence[Row], columns: Sequence[str], title: str, width: int) -> Iterator[Text]:
    """Lays rows out as records: the first column as a headline, then names with values, as many as fit on a line."""
    if title:
        yield Text(title, style="bold")
    for row in rows:
        values = {name: text_of(row.get(name)) for name in columns}
        headline = values.pop(columns[0])
        yield Text(headline or "-", style="bold")
        long = {name for name, value in values.items() if _is_prose([value])}
        yield from _pairs([(name, value) for name, value in values.items() if value and name not in long], width)
        for name, value in values.items():
            if name in long:
                yield Text(wrapped(f"{_MARGIN}{heading(name)}: {value}", width, _MARGIN * 2))


def _pairs(pairs: Sequence[tuple[str, str]], width: int) -> Iterator[Text]:
    """Fills lines with pairs of a name and a value, none of which is broken."""
    line = Text()
    for name, value in pairs:
        pair = Text.assemble((f"{heading(name)} ", "dim"), (value, COLOURS.get(value.split(":")[0], "")))
        if line and len(_MARGIN) + len(line) + len(pair) + 3 > width:
            yield Text(_MARGIN) + line
            line = Text()
        line = line + Text(" · ", style="dim") + pair if line else pair
    if line:
        yield Text(_MARGIN) + line


def wrapped(text: str, width: int | None, indent: str = "") -> str:
    """Wraps a text at blanks alone, so that no name is broken; further lines are indented. None leaves it as it is."""
    if width is None:
        return text
    lines = (
        textwrap.wrap(
            line,
            width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
        )
        or [""]
        for line in text.split("\n")
    )
    return "\n".join(piece for pieces in lines for piece in pieces)


def picture(draw: Callable[[Console], None], title: str, columns: int) -> str:
    """Draws what a terminal of so many columns shows as an SVG that loads nothing from the network."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, highlight=False)
    draw(console)
    # Rich's own format loads its font from the network, and names its maker's site.
    own = re.sub(r"@font-face \{\{.*?\}\}|<!--.*?-->", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title=title, code_format=own, unique_id="relay")


def _is_prose(cells: Sequence[str]) -> bool:
    return any(len(cell) > _PROSE_CHARACTERS and " " in cell for cell in cells)


def _cell(value: object) -> Text:
    text = text_of(value)
    return Text(text, style=COLOURS.get(text.split(":")[0], ""))


def text_of(value: object) -> str:
    """Formats a value for a cell; nothing for None."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case list() | tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value).replace("\t", " ").replace("\n", " ")
