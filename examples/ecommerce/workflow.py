"""The pipeline as a workflow of flytekit: files, models, load, page. Each task is a command that says by its exit code
whether it went well, so a failure stops what depends on it.

    workflow.py        runs it here, without a server

The environment says where everything is, as run.py sets it.
"""

import os
import pathlib
import subprocess

from flytekit import task, workflow

HERE = pathlib.Path(__file__).resolve().parent


def command(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@task(retries=2)
def take_files() -> str:
    return command(os.environ["LAKEHOOK"], "files")


@task
def build_models(files: str) -> str:
    return command(os.environ["SHOP_PYTHON"], str(HERE / "models.py"))


@task(retries=2)
def load_database(models: str) -> str:
    return command(os.environ["SHOP_PYTHON"], str(HERE / "load.py"), "--database", os.environ["SHOP_DB"])


@task
def write_page(loaded: str) -> str:
    return command(os.environ["SHOP_PYTHON"], str(HERE / "page.py"))


@workflow
def daily() -> str:
    loaded = load_database(models=build_models(files=take_files()))
    write_page(loaded=loaded)
    return loaded


if __name__ == "__main__":
    print(daily())
