#!/bin/sh
# Puts promtool into the bin of a virtual environment, out of Debian's package prometheus: promtool.sh VENV.
# Installing that package would start a server on port 9090, which is the sample system's.
# Does nothing when it is there.
set -eu

venv=$(cd "$1" && pwd)
if [ -x "$venv/bin/promtool" ]; then
    exit 0
fi
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
cd "$made"
apt-get download --quiet prometheus >/dev/null 2>&1 || {
    apt-get update --quiet >/dev/null 2>&1
    apt-get download --quiet prometheus >/dev/null
}
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
# Beside its place, and then in it at once: several may do this at a time.
cp usr/bin/promtool "$venv/bin/promtool.$$"
mv "$venv/bin/promtool.$$" "$venv/bin/promtool"
