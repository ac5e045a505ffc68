"""A picture of a result: horizontal bars as SVG, in plain Python."""

from html import escape

COLOURS = ["#3b6ea8", "#d98841", "#6a9e5b"]
WIDTH, MARGIN, LABELS, NUMBERS, BAR = 760, 24, 200, 90, 14


def bars(path, title, panels):
    """Writes a picture. A panel is a name, the names of its series, and rows: a label with a value for each series."""
    parts, y = [], MARGIN + 12
    parts.append(f'<text x="{MARGIN}" y="{y}" font-size="17" font-weight="600">{escape(title)}</text>')
    for name, series, rows in panels:
        y += 34
        parts.append(f'<text x="{MARGIN}" y="{y}" font-size="13" font-weight="600">{escape(name)}</text>')
        x = WIDTH - MARGIN
        for index in reversed(range(len(series))):
            x -= 8 * len(series[index]) + 26
            parts.append(f'<rect x="{x}" y="{y - 10}" width="10" height="10" fill="{COLOURS[index]}"/>')
            parts.append(f'<text x="{x + 14}" y="{y}" font-size="12">{escape(series[index])}</text>')
        y += 8
        most = max((value for _, values in rows for value in values), default=0) or 1
        room = WIDTH - 2 * MARGIN - LABELS - NUMBERS
        for label, values in rows:
            top = y
            for index, value in enumerate(values):
                y += BAR
                width = max(1, round(room * value / most)) if value > 0 else 0
                x = MARGIN + LABELS
                parts.append(f'<rect x="{x}" y="{y - BAR + 2}" width="{width}" height="{BAR - 3}" fill="{COLOURS[index]}"/>')
                parts.append(f'<text x="{x + width + 6}" y="{y - 1}" font-size="11">{shown(value)}</text>')
            middle = (top + y) / 2 + 4
            parts.append(
                f'<text x="{MARGIN + LABELS - 8}" y="{middle:g}" font-size="12" text-anchor="end">{escape(str(label))}</text>'
            )
            y += 4
    height = y + MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
    head += 'font-family="system-ui, sans-serif" fill="#222">'
    back = f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    path.write_text("\n".join([head, back, *parts, "</svg>"]) + "\n", encoding="utf-8")


def shown(value):
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
