"""Reads one object with every engine of this environment, and prints how many rows each of them found and
what their LSNs add up to: frames.py OBJECT. An object of lines consists of many zstd frames or gzip members,
and a reader that stops after the first one would find fewer.
"""

import gzip
import json
import sys
from pathlib import Path

import chdb
import pandas
import polars
import pyarrow
import pyarrow.compute
import pyarrow.json
import zstandard
from datafusion import SessionContext

path = Path(sys.argv[1])
codec = {".gz": "gzip", ".zst": "zstd"}[path.suffix]


def of_pandas():
    frame = pandas.read_json(path, lines=True, compression=codec if codec == "gzip" else "zstd")
    return len(frame), int(frame["lsn"].sum())


def of_polars():
    frame = polars.scan_ndjson(path, schema={"lsn": polars.Int64}).collect()
    return len(frame), frame["lsn"].sum()


def of_pyarrow():
    with pyarrow.input_stream(str(path), compression=codec) as stream:
        table = pyarrow.json.read_json(stream)
    return table.num_rows, pyarrow.compute.sum(table["lsn"]).as_py()


def of_datafusion():
    context = SessionContext()
    schema = pyarrow.schema([("lsn", pyarrow.int64())])
    context.register_json(
        "lines", str(path), schema=schema, file_extension=path.suffix, file_compression_type=codec
    )
    answer = context.sql("SELECT count(*) AS rows, sum(lsn) AS lsns FROM lines").to_pydict()
    return answer["rows"][0], answer["lsns"][0]


def of_clickhouse():
    query = f"SELECT count(), sum(lsn) FROM file('{path}', JSONEachRow, 'lsn Int64') FORMAT TabSeparated"
    rows, lsns = chdb.query(query).data().split()
    return int(rows), int(lsns)


def of_python():
    if codec == "gzip":
        text = gzip.decompress(path.read_bytes())
    else:
        reader = zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True)
        text = reader.read()
    lsns = [json.loads(line)["lsn"] for line in text.splitlines()]
    return len(lsns), sum(lsns)


engines = {
    "pandas": of_pandas,
    "polars": of_polars,
    "pyarrow": of_pyarrow,
    "DataFusion": of_datafusion,
    "ClickHouse": of_clickhouse,
    "Python": of_python,
}
answers = {}
for name, engine in engines.items():
    try:
        answers[name] = list(engine())
    except Exception as error:
        answers[name] = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(answers))
