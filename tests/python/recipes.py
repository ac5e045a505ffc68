"""Runs the recipes of a page as they are printed there.

    recipes.py run PAGE (--spark | --others) SECTION=DIRECTORY …
        runs each Python block of a section of the page in that directory, and prints what they wrote or why they
        failed, as JSON: {"SECTION/heading": {"said": …} or {"error": …}}
    recipes.py parse PAGE
        parses the SQL blocks of the page, each in the dialect that its heading names
    recipes.py dialect NAME FILE
        parses the statements of a file

Sections are headings of the second level, recipes those of the third.
"""

import contextlib
import io
import json
import os
import pathlib
import re
import sys


def blocks(page, language):
    """The blocks of a language, by section and heading."""
    section = heading = None
    inside, lines = None, []
    for line in pathlib.Path(page).read_text().splitlines():
        if inside is None and (found := re.fullmatch(r"(##|###) (.*)", line)):
            section, heading = (found[2], None) if found[1] == "##" else (section, found[2])
        elif line.startswith("```"):
            if inside == language:
                yield section, heading, "\n".join(lines)
            inside = line[3:] if inside is None else None
            lines = []
        else:
            lines.append(line)


def run(code):
    """What a block wrote, or why it failed."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            exec(compile(code, "recipe", "exec"), {"__name__": "recipe"})
    except Exception as error:  # noqa: BLE001 - the test says which errors are expected
        return {"error": f"{type(error).__name__}: {error}"}
    return {"said": said.getvalue().strip()}


def run_page(page, for_spark, places):
    """Runs the blocks of sections in their directories."""
    page = pathlib.Path(page).resolve()
    answers = {}
    for place in places:
        name, directory = place.split("=", 1)
        wanted = name.split("#")[0]
        os.chdir(directory)
        for section, heading, code in blocks(page, "python"):
            if section == wanted and heading.startswith("Spark") == for_spark:
                # The JVM of Spark stays in the directory in which it began.
                code = code.replace('"data/lake', f'"{directory}/data/lake')
                answers[f"{name}/{heading}"] = run(code)
    return answers


def parse(sql, dialect):
    """The kinds of the statements; fails for what the dialect does not know."""
    import sqlglot

    # A clause that sqlglot does not know; the page says so.
    sql = re.sub(r"^WITH PARTITION COLUMNS .*$", "", sql, flags=re.MULTILINE)
    parsed = sqlglot.parse(sql, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
    return [type(statement).__name__ for statement in parsed if statement]


def main():
    command, page, *more = sys.argv[1:]
    if command == "run":
        answers = run_page(page, more[0] == "--spark", more[1:])
    elif command == "parse":
        answers = {heading: parse(sql, heading.lower()) for _, heading, sql in blocks(page, "sql")}
    else:
        answers = {page: parse(pathlib.Path(more[0]).read_text(), page)}
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
