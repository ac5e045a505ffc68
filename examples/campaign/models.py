"""Makes the views over the lake and dbt's models in $CAMPAIGN_DB, and tests them.

$LAKEHOOK and $LAKEHOOK_CONFIG name the program and its configuration. Exit code 1 if a model or a test fails.
"""

import os
import pathlib
import subprocess
import sys

import duckdb

HERE = pathlib.Path(__file__).resolve().parent


def main():
    database = pathlib.Path(os.environ["CAMPAIGN_DB"]).resolve()
    views = subprocess.run([os.environ["LAKEHOOK"], "sql", "duckdb"], capture_output=True, text=True)
    if views.returncode != 0:
        sys.exit(views.stderr)
    with duckdb.connect(str(database)) as db:
        db.execute(views.stdout)
    project = HERE / "dbt"
    command = [pathlib.Path(sys.executable).parent / "dbt", "build", "--no-partial-parse", "--no-use-colors"]
    command += ["--project-dir", project, "--profiles-dir", project]
    command += ["--target-path", database.parent / "dbt-target", "--log-path", database.parent / "dbt-logs"]
    environment = {**os.environ, "DO_NOT_TRACK": "1", "CAMPAIGN_DB": str(database)}
    done = subprocess.run(command, env=environment, cwd=database.parent, capture_output=True, text=True)
    kept = [line for line in done.stdout.splitlines() if "WARN" in line or "Done." in line]
    print("\n".join(kept if done.returncode == 0 else done.stdout.splitlines()))
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
