"""Plays the first hour of a new user: types the commands of README.md, in their order, and looks at the answers.

    first_hour.py README.md DIRECTORY

Runs where nobody else listens on the default ports, with the program and DuckDB first in PATH. Blocks that build
the program are left out. `lakehook serve` runs until the text says Ctrl-C. Exit code 1 if a command fails or an
answer is not what README promises.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

BUILDS = ("cargo ", "make ", "docker ")


def steps(text):
    """The blocks of shell commands, and the words Ctrl-C between them."""
    for match in re.finditer(r"^```sh\n(.*?)^```$|Ctrl-C", text, re.MULTILINE | re.DOTALL):
        yield "stop" if match.group(1) is None else match.group(1)


def wait_ready():
    for _ in range(200):
        if subprocess.run(["lakehook", "health"], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    sys.exit("the service is not ready after 20 s")


def main():
    readme, directory = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    os.chdir(directory)
    service, ran, said = None, 0, []
    for step in steps(readme.read_text()):
        if step == "stop":
            if service:
                service.send_signal(signal.SIGINT)
                if service.wait(60) != 0:
                    sys.exit("the service did not stop well")
                service = None
            continue
        if any(line.startswith(BUILDS) for line in step.splitlines()):
            continue
        ran += 1
        print("$", step, flush=True)
        if step.startswith("lakehook serve"):
            log = open("serve.log", "w")
            service = subprocess.Popen(["bash", "-c", "exec " + step], stderr=log)
            wait_ready()
            continue
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", step], capture_output=True, text=True)
        print(done.stdout, done.stderr, flush=True)
        if done.returncode != 0:
            sys.exit(f"exit code {done.returncode}")
        said.append(done.stdout)
    if service:
        service.kill()
        sys.exit("README never says how to stop the service")
    text = "\n".join(said)
    for word in ['"accepted":1', "purchase", "9.5", "It adds up", "All 1 objects add up"]:
        if word not in text:
            sys.exit(f"no command printed {word!r}")
    print(f"{ran} blocks")


if __name__ == "__main__":
    main()
