"""What dbt needs to see the lake: a plugin of dbt-duckdb, named in profiles.yml.

It makes a macro in DuckDB, `lakehook_views()`, whose value is what `lakehook sql duckdb` prints now: dbt runs that
before the models (`on-run-start`), so the views are those of the configuration as it is. For a bucket it also
loads DuckDB's extension for S3, from the Python package where that is installed, and makes the secret: from the
environment as every AWS tool reads it, else by the chain of credentials.

    LAKEHOOK            the program [lakehook]
    LAKEHOOK_CONFIG     the configuration of the lake
    LAKEHOOK_BUCKET     "true": the lake, or the CSV files, are in a bucket
    LAKEHOOK_S3_ENDPOINT, LAKEHOOK_S3_SSL, LAKEHOOK_S3_URL_STYLE   of a store other than Amazon's
"""

import importlib.util
import os
import pathlib
import subprocess

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin


def views():
    """The statements that make the views over the lake."""
    program = os.environ.get("LAKEHOOK", "lakehook")
    made = subprocess.run([program, "sql", "duckdb", "--no-secret"], capture_output=True, text=True)
    if made.returncode != 0:
        raise RuntimeError(f"{program} sql duckdb: {made.stderr.strip()}")
    return made.stdout


def load_extension(connection, name):
    """Loads an extension: from its Python package, or else as DuckDB installs it."""
    package = importlib.util.find_spec(f"duckdb_extension_{name}")
    if package is not None:
        root = pathlib.Path(package.submodule_search_locations[0])
        path = root / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        connection.execute(f"LOAD '{path}'")
        return
    connection.execute(f"INSTALL {name}; LOAD {name}")


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def secret():
    """The statement that makes the secret for S3."""
    environment = os.environ
    options = ["TYPE s3"]
    if "AWS_ACCESS_KEY_ID" in environment:
        options += [f"KEY_ID {quoted(environment['AWS_ACCESS_KEY_ID'])}"]
        options += [f"SECRET {quoted(environment.get('AWS_SECRET_ACCESS_KEY', ''))}"]
        if environment.get("AWS_SESSION_TOKEN"):
            options += [f"SESSION_TOKEN {quoted(environment['AWS_SESSION_TOKEN'])}"]
    else:
        options += ["PROVIDER credential_chain"]
    if environment.get("AWS_REGION"):
        options += [f"REGION {quoted(environment['AWS_REGION'])}"]
    if environment.get("LAKEHOOK_S3_ENDPOINT"):
        options += [f"ENDPOINT {quoted(environment['LAKEHOOK_S3_ENDPOINT'])}"]
        options += [f"URL_STYLE {quoted(environment.get('LAKEHOOK_S3_URL_STYLE', 'path'))}"]
        options += [f"USE_SSL {environment.get('LAKEHOOK_S3_SSL', 'true')}"]
    return f"CREATE OR REPLACE SECRET lakehook ({', '.join(options)})"


class Plugin(BasePlugin):
    def configure_connection(self, connection):
        if os.environ.get("LAKEHOOK_BUCKET") == "true":
            load_extension(connection, "httpfs")
            if "AWS_ACCESS_KEY_ID" not in os.environ:
                load_extension(connection, "aws")
            connection.execute(secret())
        connection.execute(f"CREATE OR REPLACE MACRO lakehook_views() AS {quoted(views())}")
