"""The views over the lake and the models of dbt over them, in one DuckDB database.

Imported by the programs of the examples that have a dbt project. $LAKEHOOK and $LAKEHOOK_CONFIG name the program and
its configuration.
"""

import os
import pathlib
import subprocess
import sys

import duckdb

TOLD = ("WARN", "ERROR", "FAIL", "Done.")


def build(project, variable):
    """Makes the models of a project in the database that this variable names, tests them, and exits as dbt does."""
    database = pathlib.Path(os.environ[variable]).resolve()
    views = subprocess.run([os.environ["LAKEHOOK"], "sql", "duckdb"], capture_output=True, text=True)
    if views.returncode != 0:
        sys.exit(views.stderr)
    with duckdb.connect(str(database)) as db:
        db.execute(views.stdout)
    command = [pathlib.Path(sys.executable).parent / "dbt", "build", "--no-partial-parse", "--no-use-colors"]
    command += ["--project-dir", project, "--profiles-dir", project]
    command += ["--target-path", database.parent / "dbt-target", "--log-path", database.parent / "dbt-logs"]
    environment = {**os.environ, "DO_NOT_TRACK": "1", variable: str(database)}
    done = subprocess.run(command, env=environment, cwd=database.parent, capture_output=True, text=True)
    kept = [line for line in done.stdout.splitlines() if any(word in line for word in TOLD)]
    print("\n".join(kept if done.returncode == 0 else done.stdout.splitlines()))
    sys.exit(done.returncode)
