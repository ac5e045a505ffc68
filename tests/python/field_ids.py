"""Reads the Parquet objects of a stream with pyarrow and polars, those with field ids and those without
together: field_ids.py STREAM. Prints what each of them found, and the field ids by object.
"""

import json
import sys
from pathlib import Path

import polars
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet

root = Path(sys.argv[1])
files = sorted(root.glob("dt=*/*.parquet"))


def ids_of(file):
    schema = pyarrow.parquet.read_schema(file)
    pairs = [(field.name, (field.metadata or {}).get(b"PARQUET:field_id")) for field in schema]
    return {name: int(value) for name, value in pairs if value is not None}


table = pyarrow.dataset.dataset(root, format="parquet").to_table(columns=["lsn", "p_amount"])
objects = polars.scan_parquet(root / "dt=*/*.parquet", extra_columns="ignore", missing_columns="insert")
frame = objects.select("lsn", "p_amount").collect()
print(
    json.dumps(
        {
            "ids": {file.name: ids_of(file) for file in files},
            "pyarrow": [table.num_rows, pyarrow.compute.sum(table["p_amount"]).as_py()],
            "polars": [len(frame), frame["p_amount"].sum()],
        }
    )
)
