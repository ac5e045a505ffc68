"""A PostgreSQL server of the example's own, which ends with it."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import lab

PLACES = ["/usr/lib/postgresql/*/bin", "/usr/local/bin", "/usr/bin"]


def programs():
    """The newest PostgreSQL with everything that is needed."""
    found = [path for place in PLACES for path in pathlib.Path("/").glob(place.lstrip("/"))]
    found = [path for path in found if (path / "initdb").exists() and (path / "postgres").exists()]
    if not found:
        raise lab.Failed("there is no PostgreSQL server: run `make setup`")
    return max(found, key=lambda path: [int(part) for part in path.parts if part.isdigit()])


class Server:
    """PostgreSQL refuses to run as root, so root runs it as `postgres`."""

    def __init__(self, log):
        self.bin, self.port, self.log = programs(), lab.free_port(), log
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="shop-postgres-"))
        self.as_other = []
        if os.geteuid() == 0:
            shutil.chown(self.dir, "postgres", "postgres")
            self.as_other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def environment(self):
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "shop",
            "PGDATABASE": "shop",
            "PATH": f"{self.bin}:{os.environ['PATH']}",
        }

    def start(self, processes):
        data = self.dir / "data"
        lab.run([*self.as_other, self.bin / "initdb", "-D", data, "-U", "shop", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"], cwd="/")
        command = [*self.as_other, self.bin / "postgres", "-D", data, "-p", self.port, "-h", "127.0.0.1", "-k", ""]
        processes.start(command, self.log, cwd="/")
        for _ in range(600):
            if subprocess.run([self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0:
                break
            subprocess.run(["sleep", "0.1"])
        lab.run(["psql", "--no-psqlrc", "--quiet", "--command", "CREATE DATABASE shop", "postgres"], env={**os.environ, **self.environment()})

    def query(self, sql):
        command = ["psql", "--no-psqlrc", "--csv", "--tuples-only", "--command", sql]
        return lab.run(command, env={**os.environ, **self.environment()}).splitlines()

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)
