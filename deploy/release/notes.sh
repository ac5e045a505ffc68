#!/bin/sh
# Prints what CHANGELOG.md says of a version; fails if it says nothing.
#
#   notes.sh VERSION
set -eu

version=$1
root=$(cd "$(dirname "$0")/../.." && pwd)

notes=$(awk -v version="$version" '
    /^## / { is_it = ($2 == version); next }
    is_it
' "$root/CHANGELOG.md")
if [ -z "$notes" ]; then
    echo "CHANGELOG.md has no section for $version" >&2
    exit 1
fi
printf '%s\n' "$notes"
