#!/bin/sh
# Packs the program with everything that a machine without this repository needs, and prints the archive's path.
# The same input makes the same bytes.
#
#   archive.sh PROGRAM VERSION TARGET DIRECTORY
set -eu

program=$1
version=$2
target=$3
into=$4
root=$(cd "$(dirname "$0")/../.." && pwd)

name=lakehook-$version-$target
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
mkdir -p "$into" "$made/$name/deploy" "$made/$name/docs"

install -m 0755 "$program" "$made/$name/lakehook"
sh "$root/deploy/release/prepare.sh" "$program" "$made/prepared"
cp -R "$made/prepared/man" "$made/prepared/completions" "$made/$name/"
cp "$root/README.md" "$root/LICENSE" "$root/CHANGELOG.md" "$root/SECURITY.md" "$root/lakehook.toml" "$made/$name/"
cp -R "$root"/docs/. "$made/$name/docs/"
cp "$root/deploy/lakehook.service" "$root/deploy/lakehook.toml" "$root/deploy/prometheus-rules.yml" \
    "$root"/deploy/iam-policy*.json "$made/$name/deploy/"

epoch=${SOURCE_DATE_EPOCH:-0}
tar --create --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --directory "$made" "$name" \
    | gzip -9n >"$into/$name.tar.gz"
(cd "$into" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "$into/$name.tar.gz"
