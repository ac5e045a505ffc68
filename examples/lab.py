"""What the runs of the examples share: finding the programs, starting and ending processes, comparing numbers.

Nothing here installs anything: `make setup` does.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


class Failed(Exception):
    """The example does not do what it should; the message says what."""


def need(path, what):
    """A path that must be there."""
    if not pathlib.Path(path).exists():
        raise Failed(f"there is no {path} ({what}): run `make setup`")
    return str(path)


def lakehook():
    """The program: $LAKEHOOK, or one that was built here."""
    given = os.environ.get("LAKEHOOK")
    built = [REPOSITORY / "target" / profile / "lakehook" for profile in ("release", "debug")]
    for path in [given] if given else built:
        if pathlib.Path(path).exists():
            return str(path)
    raise Failed("lakehook is not built: run `cargo build --release`, or name the program in LAKEHOOK")


def venv(name, program="python"):
    """A program of one of the Python environments of `make setup`."""
    return need(REPOSITORY / name / "bin" / program, f"{program} of {name}")


def free_port():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fetch(url, method="GET", body=None, timeout=10, kind="application/octet-stream"):
    headers = {"Content-Type": kind} if body is not None else {}
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read()


def wait_until(url, process=None, seconds=60):
    """Waits until a URL answers with success."""
    end = time.monotonic() + seconds
    while True:
        try:
            return fetch(url, timeout=5)
        except (urllib.error.URLError, OSError) as error:
            if process is not None and process.poll() is not None:
                raise Failed(f"{process.args[0]} has ended with {process.returncode}") from error
            if time.monotonic() > end:
                raise Failed(f"{url} does not answer: {error}") from error
            time.sleep(0.05)


def wait_until_said(process, log, words, seconds=120):
    """Waits until a process has written these words into its log."""
    end = time.monotonic() + seconds
    while words not in pathlib.Path(log).read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > end:
            raise Failed(f"{process.args[0]} did not say {words!r}; see {log}")
        time.sleep(0.05)


class Processes:
    """Processes that end with the block."""

    def __init__(self):
        self.started = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.started):
            if process.poll() is None:
                process.kill()
                process.wait()

    def start(self, command, log, **options):
        """Starts a process whose output goes to a file."""
        with open(log, "ab") as output:
            process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options
            )
        self.started.append(process)
        return process


def stop(process, seconds=60):
    """SIGTERM, and waits for a good end."""
    process.send_signal(signal.SIGTERM)
    if process.wait(seconds) != 0:
        raise Failed(f"{process.args[0]} ended with {process.returncode}")


def run(command, env=None, good=(0,), **options):
    """Runs a command to its end and returns what it said; another exit code than a good one fails."""
    command = [str(word) for word in command]
    done = subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    if done.returncode not in good:
        said = (done.stdout + done.stderr).strip()
        raise Failed(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
    return done.stdout + done.stderr


def compare(what, found, expected):
    """Fails where a number is not the one that was counted independently."""
    found, expected = (json.loads(json.dumps(value)) for value in (found, expected))
    if found == expected:
        shown = json.dumps(found, sort_keys=True)
        print(f"  ok  {what}" + (f": {shown}" if len(shown) < 90 else ""))
        return
    raise Failed(f"{what} differs\n  found    {json.dumps(found)[:2000]}\n  expected {json.dumps(expected)[:2000]}")


def asked(about, here, small, more=None):
    """What was asked of an example, with an empty directory for everything. `small` says what `--small` means, and
    `more` adds arguments."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--small", action="store_true", help=small)
    if more:
        more(parser)
    parser.add_argument("--dir", type=pathlib.Path, default=here / "work", help="where everything goes; emptied first")
    given = parser.parse_args()
    given.dir = given.dir.resolve()
    shutil.rmtree(given.dir, ignore_errors=True)
    given.dir.mkdir(parents=True)
    return given


def environment(here, directory, **more):
    """The variables of an example: its configuration, and its lake and logs below its directory."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "LAKEHOOK_CONFIG": str(here / "lakehook.toml"),
        "LAKEHOOK_LAKE__URL": str(directory / "lake"),
        "LAKEHOOK_WAL__DIR": str(directory / "wal"),
        "LAKEHOOK_POLLS__DIR": str(directory / "polls"),
        **more,
    }


def main(body):
    """Runs an example; exit code 1 with a sentence if it fails."""
    try:
        body()
    except Failed as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        sys.exit(1)
