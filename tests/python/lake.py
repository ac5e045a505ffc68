"""Reads a lake with the real DuckDB and prints what it sees, for the tests.

    lake.py count --lake DIR|s3://BUCKET/PREFIX [--endpoint URL] [--typed|--auto]
    lake.py ids   --lake …     all event ids, sorted, one a line (repeated ones repeatedly)
    lake.py rows  --lake …     all events in the order of their lsn, as NDJSON, with `object` and `dt`
    lake.py runs  --lake … --stream NAME --id KEY   the runs of a snapshot poll, by their markers
    lake.py stream --lake … --stream NAME --id KEY  totals over all objects of a stream
    lake.py query --lake … --sql FILE --query SQL   runs statements, then prints the rows of a query
    lake.py seconds --lake … --sql FILE --query SQL …  how long each query takes
    lake.py parse FILE         reads one NDJSON file both ways; exit 1 if either fails

`--typed` (the default) gives every column its type, `--auto` is the plain SELECT * of somebody who
knows nothing of the lake. Everything is read and parsed, also what the answer does not need.
"""

import argparse
import json
import pathlib
import re
import sys
import time
import urllib.parse

import duckdb

EVENT = {
    "event_id": "VARCHAR",
    "user_id": "VARCHAR",
    "user": "JSON",
    "event_type": "VARCHAR",
    "source": "VARCHAR",
    "timestamp": "TIMESTAMPTZ",
    "received_at": "TIMESTAMPTZ",
    "lsn": "UBIGINT",
    "properties": "JSON",
    "extra": "JSON",
}
# Times as they are written: DuckDB would print them in a form of its own.
EVENT_AS_TEXT = {**EVENT, "timestamp": "VARCHAR", "received_at": "VARCHAR"}
REFUSED = {
    "received_at": "TIMESTAMPTZ",
    "lsn": "UBIGINT",
    "reason": "VARCHAR",
    "stream": "VARCHAR",
    "endpoint": "VARCHAR",
    "request_id": "VARCHAR",
    "client": "VARCHAR",
    "errors": "JSON",
    "errors_total": "UBIGINT",
    "raw": "VARCHAR",
    "raw_encoding": "VARCHAR",
    "raw_bytes": "UBIGINT",
    "raw_xxh3": "VARCHAR",
}
OBJECT = re.compile(r"\.(ndjson(\.gz|\.zst)?|parquet)$")


def quoted(text):
    """A string as an SQL literal."""
    return "'" + str(text).replace("'", "''") + "'"


def connect(lake, endpoint):
    """A connection that can read this lake; never asks the network for an extension."""
    db = duckdb.connect()
    db.execute("SET autoinstall_known_extensions = false; SET TimeZone = 'UTC'")
    db.execute("SET threads = 2; SET preserve_insertion_order = false")
    if lake.startswith("s3://"):
        load_httpfs(db)
        create_secret(db, endpoint)
    return db


def load_httpfs(db):
    """Loads the extension from the file that its Python package brings along."""
    import duckdb_extension_httpfs

    root = pathlib.Path(duckdb_extension_httpfs.__file__).parent
    path = root / "extensions" / f"v{duckdb.__version__}" / "httpfs.duckdb_extension"
    db.execute(f"LOAD {quoted(path)}")


def create_secret(db, endpoint):
    """The credentials of the laboratory's S3 servers, and where they are."""
    options = "TYPE s3, KEY_ID 'test', SECRET 'test', REGION 'us-east-1', URL_STYLE 'path'"
    if endpoint:
        url = urllib.parse.urlsplit(endpoint)
        options += f", ENDPOINT {quoted(url.netloc)}, USE_SSL {url.scheme == 'https'}"
    db.execute(f"CREATE SECRET ({options})")


def objects(db, lake, stream):
    """The objects of a stream, sorted."""
    pattern = f"{lake.rstrip('/')}/{stream}/**/*.*"
    found = db.execute("SELECT file FROM glob(?) ORDER BY file", [pattern]).fetchall()
    return [file for (file,) in found if OBJECT.search(file)]


def source(files, columns, more=""):
    """The table function that reads these files: typed, or (no columns) as DuckDB detects it."""
    listed = "[" + ", ".join(quoted(file) for file in files) + "]"
    if files[0].endswith(".parquet"):
        # Columns of a later schema are not in earlier objects.
        return f"read_parquet({listed}, hive_partitioning = true, union_by_name = true)"
    if columns is None:
        return f"read_json({listed}{more})"
    types = ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in columns.items())
    return (
        f"read_json({listed}, format = 'newline_delimited', columns = {{{types}}},"
        f" hive_partitioning = true{more})"
    )


def load(db, table, files, columns):
    """Reads everything into a table; reading less would parse less."""
    db.execute(f"CREATE TEMP TABLE {table} AS SELECT * FROM {source(files, columns)}")


def tally(db, what, table):
    """How many rows there are of each."""
    rows = db.execute(f"SELECT {what}::VARCHAR, count(*) FROM {table} GROUP BY 1 ORDER BY 1")
    return {str(key): count for key, count in rows.fetchall()}


def count_events(db, files, typed):
    """Totals over all events."""
    load(db, "events", files, EVENT if typed else None)
    columns = {row[0] for row in db.execute("DESCRIBE events").fetchall()}
    if "dt" not in columns:
        db.execute("ALTER TABLE events ADD COLUMN dt VARCHAR")
    totals = db.execute(
        "SELECT count(*), count(DISTINCT event_id), count(DISTINCT lsn), min(lsn), max(lsn),"
        " count(*) FILTER (TRY_CAST(timestamp AS DATE)::VARCHAR IS DISTINCT FROM dt::VARCHAR) FROM events"
    ).fetchone()
    by_both = {}
    pairs = "SELECT dt::VARCHAR, event_type, count(*) FROM events GROUP BY ALL ORDER BY ALL"
    for dt, event_type, count in db.execute(pairs).fetchall():
        by_both.setdefault(str(dt), {})[event_type] = count
    names = ["rows", "distinct_event_ids", "distinct_lsns", "min_lsn", "max_lsn", "misplaced"]
    return {
        **dict(zip(names, totals)),
        "by_dt": tally(db, "dt", "events"),
        "by_event_type": tally(db, "event_type", "events"),
        "by_dt_and_event_type": by_both,
    }


NO_EVENTS = {
    "rows": 0,
    "distinct_event_ids": 0,
    "distinct_lsns": 0,
    "min_lsn": None,
    "max_lsn": None,
    "misplaced": 0,
    "by_dt": {},
    "by_event_type": {},
    "by_dt_and_event_type": {},
}


def count(db, lake, typed):
    """Prints the totals of events and quarantine."""
    files, refused = objects(db, lake, "events"), objects(db, lake, "quarantine")
    answer = count_events(db, files, typed) if files else dict(NO_EVENTS)
    answer["objects"] = len(files)
    answer["quarantine"] = {}
    if refused:
        load(db, "refused", refused, REFUSED if typed else None)
        answer["quarantine"] = tally(db, "reason", "refused")
    print(json.dumps(answer))


def print_lines(result):
    """Prints a result of one column without ever holding all of it as Python objects."""
    while chunk := result.fetchmany(50_000):
        sys.stdout.write("".join(f"{line}\n" for (line,) in chunk))


def ids(db, lake, typed):
    """Prints all event ids."""
    files = objects(db, lake, "events")
    if not files:
        return
    rows = source(files, EVENT if typed else None)
    print_lines(db.execute(f"SELECT event_id::VARCHAR FROM {rows} ORDER BY 1"))


def rows(db, lake, _typed):
    """Prints all events."""
    files = objects(db, lake, "events")
    if not files:
        return
    read = source(files, EVENT_AS_TEXT, ", filename = 'object'")
    print_lines(db.execute(f"SELECT to_json(r)::VARCHAR FROM (SELECT * FROM {read}) r ORDER BY r.lsn"))


def parse(file):
    """Reads one file both ways; whether both went well."""
    answer = {}
    for name, columns in [("typed", EVENT), ("auto", None)]:
        db = connect(file, None)
        try:
            load(db, "parsed", [file], columns)
            answer[name] = {"rows": db.execute("SELECT count(*) FROM parsed").fetchone()[0]}
        except duckdb.Error as error:
            answer[name] = {"error": str(error)}
    print(json.dumps(answer))
    return all("rows" in outcome for outcome in answer.values())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ["count", "ids", "rows", "runs", "stream", "query", "seconds"]:
        command = commands.add_parser(name)
        command.add_argument("--lake", required=True)
        command.add_argument("--endpoint")
        command.add_argument("--typed", dest="typed", action="store_true", default=True)
        command.add_argument("--auto", dest="typed", action="store_false")
        command.add_argument("--stream")
        command.add_argument("--id")
        command.add_argument("--sql")
        command.add_argument("--query", action="append")
    commands.add_parser("parse").add_argument("file")
    return parser.parse_args()


def totals(db, files, key):
    """Rows, different ids and different LSNs."""
    if not files:
        return {"rows": 0, "ids": 0, "lsns": 0}
    # Numbers of an id may be text elsewhere: both are compared as text.
    rows = source(files, None, ", union_by_name = true, maximum_depth = 1")
    found = db.execute(
        f"SELECT count(*), count(DISTINCT {key}::VARCHAR), count(DISTINCT lsn) FROM {rows}"
    ).fetchone()
    return dict(zip(["rows", "ids", "lsns"], found))


def runs(db, lake, asked):
    """Prints what each marker of a stream says, beside what is there."""
    lake = lake.rstrip("/")
    pattern = f"{lake}/_lakehook/runs/{asked.stream}/*.json"
    markers = db.execute("SELECT content FROM read_text(?) ORDER BY filename", [pattern]).fetchall()
    told, marked = [], set()
    for (text,) in markers:
        marker = json.loads(text)
        of_run = {"invalid": [], "valid": []}
        for made in marker["objects"]:
            marked.add(f"{lake}/{made['key']}")
            kind = "invalid" if made["key"].startswith("quarantine/") else "valid"
            of_run[kind].append(f"{lake}/{made['key']}")
        there = totals(db, of_run["valid"], asked.id)
        refused = totals(db, of_run["invalid"], "raw")
        told.append(
            {
                "run": marker["run"],
                "same_as": marker.get("same_as"),
                "records": marker["records"],
                "quarantined": marker["quarantined"],
                "in_objects": sum(made["records"] for made in marker["objects"]),
                "rows": there["rows"],
                "ids": there["ids"],
                "refused": refused["rows"],
            }
        )
    unmarked = [file for file in objects(db, lake, asked.stream) if file not in marked]
    print(json.dumps({"runs": told, "unmarked": unmarked}))


def stream(db, lake, asked):
    """Prints totals over a stream."""
    print(json.dumps(totals(db, objects(db, lake, asked.stream), asked.id)))


def query(db, _lake, asked):
    """Prints the rows of a query, once the statements of a file have been run."""
    db.execute(pathlib.Path(asked.sql).read_text())
    rows = db.execute(asked.query[0]).fetchall()
    print(json.dumps([[value if isinstance(value, (int, float, type(None))) else str(value) for value in row] for row in rows]))


def seconds(db, _lake, asked):
    """Prints how long each query takes at least, without what DuckDB remembers of objects."""
    db.execute("SET enable_external_file_cache = false")
    db.execute(pathlib.Path(asked.sql).read_text())
    took = [float("inf")] * len(asked.query)
    for _ in range(5):
        for number, query in enumerate(asked.query):
            start = time.perf_counter()
            db.execute(query).fetchall()
            took[number] = min(took[number], time.perf_counter() - start)
    print(json.dumps(took))


def main():
    asked = arguments()
    if asked.command == "parse":
        sys.exit(0 if parse(asked.file) else 1)
    more = {"runs": runs, "stream": stream, "query": query, "seconds": seconds}
    if asked.command in more:
        more[asked.command](
            connect(asked.lake, asked.endpoint), asked.lake, asked
        )
        return
    command = {"count": count, "ids": ids, "rows": rows}[asked.command]
    command(connect(asked.lake, asked.endpoint), asked.lake, asked.typed)


if __name__ == "__main__":
    main()
