"""Prints the quarantine rows of a lake, in the order of their lsn, as NDJSON.

    quarantine.py LAKE
"""

import json
import sys

import duckdb

db = duckdb.connect()
db.execute("SET autoinstall_known_extensions = false; SET TimeZone = 'UTC'")
pattern = f"{sys.argv[1]}/quarantine/**/*.ndjson.gz"
if db.execute("SELECT count(*) FROM glob(?)", [pattern]).fetchone()[0]:
    read = "SELECT * FROM read_json(?, format = 'newline_delimited', maximum_object_size = 33554432)"
    result = db.execute(read + " ORDER BY lsn", [pattern])
    names = [column[0] for column in result.description]
    for row in result.fetchall():
        print(json.dumps(dict(zip(names, row)), default=str))
