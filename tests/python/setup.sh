#!/bin/sh
# Makes a virtual environment: that of the tests, <repository>/.venv or where LAKEHOOK_VENV says; or
# another one: setup.sh REQUIREMENTS DIRECTORY.
# Does nothing when it is there already and made from the same requirements.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
requirements=${1:-$here/requirements.txt}
venv=${2:-${LAKEHOOK_VENV:-$(cd "$here/../.." && pwd)/.venv}}
python=${PYTHON:-python3}

if ! command -v "$python" >/dev/null; then
    echo "no $python here; on Debian: apt-get install python3 python3-venv" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or later is needed, this is $("$python" --version)" >&2
    exit 1
fi

wanted=$(sha256sum "$requirements" | cut -d' ' -f1)-$("$python" --version | tr ' ' -)
stamp=$venv/requirements.stamp
if [ -x "$venv/bin/python" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

# A half-made environment has no stamp, and is made again from the start.
if ! "$python" -m venv --clear "$venv"; then
    echo "can't make a virtual environment; on Debian: apt-get install python3-venv" >&2
    exit 1
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --only-binary :all: --requirement "$requirements"
echo "$wanted" >"$stamp"
