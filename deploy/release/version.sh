#!/bin/sh
# Prints the version in Cargo.toml. With a tag as argument, fails unless the tag is v and that version.
#
#   version.sh [TAG]
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml")

if [ $# -gt 0 ] && [ "$1" != "v$version" ]; then
    echo "the tag is $1, and Cargo.toml has $version" >&2
    exit 1
fi
echo "$version"
