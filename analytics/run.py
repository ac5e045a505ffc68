"""Runs the dbt project over a lake, and shows the marts.

    run.py --config lakehook.toml [--lakehook PROGRAM] [--database FILE] [--files DIR] [--csv DIR]

dbt makes the views over the lake, builds its models on them, and tests them. `--files` names the folder of the
CSV files of users, content and sessions. With `--csv` each mart is written into that directory as well. Exit
code 1 if a model or a test fails.
"""

import argparse
import os
import pathlib
import subprocess
import sys

import duckdb

HERE = pathlib.Path(__file__).resolve().parent
MARTS = sorted(path.stem for path in (HERE / "models" / "marts").glob("*.sql"))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", required=True, help="the configuration of the lake")
    parser.add_argument("--lakehook", default="lakehook", help="the program [lakehook]")
    parser.add_argument("--database", default="analytics.duckdb", help="where views and models go")
    parser.add_argument("--csv", help="a directory for the marts as CSV")
    parser.add_argument("--files", help="the folder of the CSV files, or s3://bucket/prefix")
    return parser.parse_args()


def build(asked, database):
    """Builds and tests all models."""
    environment = {
        **os.environ,
        "LAKEHOOK": asked.lakehook,
        "LAKEHOOK_CONFIG": str(pathlib.Path(asked.config).resolve()),
        "LAKEHOOK_ANALYTICS_DB": str(database),
        "LAKEHOOK_ANALYTICS_DIR": str(HERE),
        "DO_NOT_TRACK": "1",
    }
    if asked.files:
        is_folder = "://" not in asked.files
        environment["HALLOW_CSV"] = str(pathlib.Path(asked.files).resolve()) if is_folder else asked.files
    dbt = pathlib.Path(sys.executable).parent / "dbt"
    command = [dbt, "build", "--quiet", "--no-partial-parse"]
    command += ["--project-dir", HERE, "--profiles-dir", HERE]
    command += ["--target-path", database.parent / "dbt-target", "--log-path", database.parent / "dbt-logs"]
    return subprocess.run(command, env=environment, cwd=database.parent).returncode


def show(asked, database):
    with duckdb.connect(str(database), read_only=True) as db:
        db.execute("SET TimeZone = 'UTC'")
        for mart in MARTS:
            print(f"\n{mart}")
            db.sql(f"SELECT * FROM {mart} ORDER BY ALL LIMIT 40").show(max_rows=40)
            if asked.csv:
                target = pathlib.Path(asked.csv) / f"{mart}.csv"
                db.execute(f"COPY (SELECT * FROM {mart} ORDER BY ALL) TO '{target}' (HEADER)")


def main():
    asked = arguments()
    database = pathlib.Path(asked.database).resolve()
    database.unlink(missing_ok=True)
    code = build(asked, database)
    if code == 0:
        show(asked, database)
    sys.exit(code)


if __name__ == "__main__":
    main()
