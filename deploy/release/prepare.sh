#!/bin/sh
# Makes what a package holds besides the program and the files of this repository: manual pages, completions, and
# the systemd unit for a program in /usr/bin.
#
#   prepare.sh PROGRAM DIRECTORY
set -eu

program=$1
into=$2
root=$(cd "$(dirname "$0")/../.." && pwd)

mkdir -p "$into/man" "$into/completions" "$into/systemd"
"$program" man --dir "$into/man"
"$program" completions bash >"$into/completions/lakehook"
"$program" completions zsh >"$into/completions/_lakehook"
"$program" completions fish >"$into/completions/lakehook.fish"
sed -e 's|/usr/local/bin/lakehook|/usr/bin/lakehook|' -e 's|/usr/local/share/doc|/usr/share/doc|' \
    -e '/^# systemd unit\. Put/,/^#   systemctl/d' "$root/deploy/lakehook.service" >"$into/systemd/lakehook.service"
