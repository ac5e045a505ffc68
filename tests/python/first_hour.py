"""Plays the first hour of a new user: types the commands of README.md, in their order, and looks at the answers.

    first_hour.py README.md DIRECTORY
    first_hour.py --fresh REPOSITORY DIRECTORY

Runs where nobody else listens on the default ports, with DuckDB in PATH. The program must be first in PATH: the
blocks that build it are left out. With --fresh, the repository is cloned, and they are typed in the clone, as
everything else is. `lakehook serve` runs until the text says Ctrl-C; once an event was sent, the console must show it.
Exit code 1 if a command fails or an answer is not what README promises.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

BUILDS = ("cargo ", "make ", "docker ")
PROMISED = ['"accepted":1', "purchase", "9.5", "It adds up", "All 1 objects add up", "stored"]
CONSOLE = "http://127.0.0.1:4002"


def steps(text):
    """The blocks of shell commands, and the words Ctrl-C between them."""
    for match in re.finditer(r"^```sh\n(.*?)^```$|Ctrl-C", text, re.MULTILINE | re.DOTALL):
        yield "stop" if match.group(1) is None else match.group(1)


def builds(step):
    return any(line.startswith(BUILDS) for line in step.splitlines())


def type_in(step):
    """Types a block, and keeps what it does to PATH."""
    print("$", step, flush=True)
    script = step + '\nprintf %s "$PATH" > .path'
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True)
    print(done.stdout, done.stderr, flush=True)
    if done.returncode != 0:
        sys.exit(f"exit code {done.returncode}")
    os.environ["PATH"] = pathlib.Path(".path").read_text()
    return done.stdout


def wait_for(what, is_there):
    for _ in range(200):
        if is_there():
            return
        time.sleep(0.1)
    sys.exit(f"{what} is not there after 20 s")


def is_ready():
    return subprocess.run(["lakehook", "health"], capture_output=True).returncode == 0


def look_at_console(event):
    """What a user sees of the event that was sent."""

    def shows(path, word):
        page = urllib.request.urlopen(CONSOLE + path, timeout=10).read().decode()
        return word in page

    wait_for("the event on the console", lambda: shows(f"/find?q={event}", "Stored"))
    wait_for("its source on the console", lambda: shows("/sources", "/webhook/events"))
    print("seen on the console", flush=True)


def play(readme):
    service, ran, said = None, 0, []
    for step in steps(readme.read_text()):
        if step == "stop":
            if service:
                service.send_signal(signal.SIGINT)
                if service.wait(60) != 0:
                    sys.exit("the service did not stop well")
                service = None
            continue
        if builds(step):
            continue
        ran += 1
        if step.startswith("lakehook serve"):
            print("$", step, flush=True)
            log = open("serve.log", "w")
            service = subprocess.Popen(["bash", "-c", "exec " + step], stderr=log)
            wait_for("the service", is_ready)
            continue
        said.append(type_in(step))
        sent = re.search(r'"event_id":"([^"]+)"', step)
        if sent:
            look_at_console(sent.group(1))
    if service:
        service.kill()
        sys.exit("README never says how to stop the service")
    text = "\n".join(said)
    for word in PROMISED:
        if word not in text:
            sys.exit(f"no command printed {word!r}")
    print(f"{ran} blocks")


def play_fresh(repository, directory):
    """Clones, builds as README says, and plays the rest where the default ports are free, if this user may."""
    shutil.rmtree(directory, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", repository, directory], check=True)
    os.chdir(directory)
    for step in steps(pathlib.Path("README.md").read_text()):
        if builds(step):
            begun = time.monotonic()
            type_in(step)
            print(f"built after {time.monotonic() - begun:.0f} s", flush=True)
    again = [sys.executable, os.path.abspath("tests/python/first_hour.py"), "README.md", "."]
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0:
        again = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *again]
    os.execvp(again[0], again)


def main():
    if sys.argv[1] == "--fresh":
        play_fresh(os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3]))
    readme, directory = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    os.chdir(directory)
    play(readme)


if __name__ == "__main__":
    main()
