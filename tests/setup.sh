#!/bin/sh
# Installs what the tests need besides Rust and this repository: system packages where apt-get is there
# and may be used, cargo-nextest and cargo-deny where they are missing, the Python environments, and
# clients for Node.js.
# Does nothing for what is there already. Without a system package, the tests that need it are skipped.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
missing=

# The package, and a command or a file by which its presence shows.
wants() {
    package=$1
    shift
    for sign in "$@"; do
        if command -v "$sign" >/dev/null 2>&1 || [ -e "$sign" ]; then
            return
        fi
    done
    missing="$missing $package"
}

PATH=$PATH:/usr/sbin:/sbin
wants valgrind valgrind                 # counts instructions
wants libfaketime /usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 \
    /usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1 /usr/lib/faketime/libfaketime.so.1    # moves clocks
wants e2fsprogs mkfs.ext4               # a file system whose power is cut
wants mount losetup                     # and its loop device
wants iproute2 ip                       # a network of its own, where the default ports are free
wants chromium chromium                 # pages that send
wants nodejs node                       # clients in JavaScript
wants npm npm                           # and what installs them
wants openjdk-17-jre-headless java      # Spark, and Hive's parser
wants strace strace                     # ends a program at its n-th operation
wants postgresql /usr/lib/postgresql/*/bin/initdb   # the database of an example

if [ -n "$missing" ]; then
    sudo=
    if [ "$(id -u)" != 0 ]; then
        sudo='sudo -n'
    fi
    echo "installing$missing"
    # shellcheck disable=SC2086
    if ! command -v apt-get >/dev/null 2>&1 || ! {
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet $missing >/dev/null 2>&1 || {
            $sudo apt-get update --quiet >/dev/null 2>&1
            $sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet $missing >/dev/null
        }
    }; then
        echo "not installed:$missing; tests that need them are skipped" >&2
    fi
fi

# Its speed does not matter, so it is built without optimisation, apart from this repository's target/.
tool() {
    if ! cargo "$1" --version >/dev/null 2>&1; then
        (cd / && cargo install --locked --debug "cargo-$1")
    fi
}
tool nextest
tool deny

sh "$root/tests/python/setup.sh"
sh "$root/tests/python/setup.sh" "$root/analytics/requirements.txt" "$root/.venv-analytics"
sh "$root/tests/python/setup.sh" "$root/tests/python/schemathesis.txt" "$root/.venv-schemathesis"
sh "$root/tests/python/setup.sh" "$root/tests/python/readers.txt" "$root/.venv-readers"
sh "$root/tests/python/setup.sh" "$root/tests/python/spark.txt" "$root/.venv-spark"
sh "$root/tests/python/setup.sh" "$root/tests/python/clients.txt" "$root/.venv-clients"
sh "$root/tests/python/setup.sh" "$root/examples/requirements.txt" "$root/.venv-examples"

# Clients of the tests, and PostGraphile for an example.
for node in "$root/tests/node" "$root/examples/ecommerce/graphql"; do
    lock=$(sha256sum "$node/package-lock.json" | cut -d' ' -f1)
    if command -v npm >/dev/null 2>&1 && [ "$(cat "$node/node_modules/lock.stamp" 2>/dev/null)" != "$lock" ]; then
        (cd "$node" && npm ci --no-audit --no-fund --ignore-scripts --loglevel error)
        echo "$lock" >"$node/node_modules/lock.stamp"
    fi
done
# Checks and tests the alerts.
sh "$root/tests/python/promtool.sh" "$root/.venv" || echo "not installed: promtool; tests that need it are skipped" >&2
# Renders the chart. Without it, the tests read its templates less closely.
sh "$root/tests/python/helm.sh" "$root/.venv" || echo "not installed: helm; tests that need it are skipped" >&2
