"""Draws what a terminal showed as a picture: picture.py TITLE < TEXT > FILE.svg"""

import html
import sys

LINE, CHAR, MARGIN, BAR = 18, 7.83, 16, 34


def main():
    lines = [line.rstrip("\n")[:150] for line in sys.stdin]
    width = MARGIN * 2 + CHAR * max(map(len, lines))
    height = BAR + MARGIN + LINE * len(lines)
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" role="img" aria-label="{html.escape(sys.argv[1])}">'
    )
    print(f'<rect width="100%" height="100%" rx="8" fill="#1b1f27"/>')
    for x, colour in [(18, "#ff5f57"), (38, "#febc2e"), (58, "#28c840")]:
        print(f'<circle cx="{x}" cy="17" r="6" fill="{colour}"/>')
    print('<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13" xml:space="preserve">')
    for number, line in enumerate(lines):
        colour = "#7ee787" if line.startswith(("It adds up", "$ ")) else "#d7dce5"
        y = BAR + LINE * (number + 1) - 4
        text = html.escape(line).replace(" ", "\u00a0")
        print(f'<text x="{MARGIN}" y="{y}" fill="{colour}">{text}</text>')
    print("</g></svg>")


if __name__ == "__main__":
    main()
