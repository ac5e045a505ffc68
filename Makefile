# `make check` while working, `make test` before a commit, `make proof` for the large counts.

SHELL := /bin/bash

.PHONY: setup check test proof first-hour lint deny bench instructions demo analytics examples clean

setup:                  ## Install what the tests need besides Rust: system packages, cargo tools, Python environments
	sh tests/setup.sh

check:                  ## Unit, contract and snapshot tests; under 3 minutes
	cargo nextest run --workspace --lib --bins

test: setup             ## All tests, in small counts
	cargo build --workspace --all-targets
	cargo nextest run --workspace
	cargo test --workspace --doc

proof: setup            ## All tests in large counts; takes hours
	LAKEHOOK_OBJECTS=10000 LAKEHOOK_FILE_MIB=1024 LAKEHOOK_OUTAGE=full LAKEHOOK_OVERLOAD=60 PROPTEST_CASES=100000 cargo nextest run --workspace --profile proof
	LAKEHOOK_KILLS=1000 LAKEHOOK_CUTS=1000 LAKEHOOK_SEEDS=30000 LAKEHOOK_LOSSES=50 LAKEHOOK_FIND_EVENTS=10000000 LAKEHOOK_CONSOLE_EVENTS=1000000 cargo nextest run --release --profile proof -E 'test(/^crashes|^power_cuts|^lost_machines|seeds_of|seeds_with|found_within_a_second|at_half_load/)'
	cargo run --release -- torture --duration 10m
	cargo nextest run --features otlp --profile proof -E 'test(otlp::)'
	$(MAKE) first-hour

first-hour: setup       ## README as a new user types it, on a fresh clone: build, demo, an event, console, query, audit
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python tests/python/first_hour.py --fresh . target/first-hour

lint:                   ## Format, lints, documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

deny:                   ## Licences, bans and sources of dependencies; advisories need a database and are left out
	cargo deny --workspace check licenses bans sources

bench: setup            ## Figures: W1 and W100 beside bare axum and the disk; polls; files; NDJSON and Parquet; the log; erasures; forwarding
	cargo bench --bench throughput
	cargo bench --bench polls
	cargo bench --bench files
	cargo bench --bench formats
	cargo bench --bench log
	cargo bench --bench erase
	cargo bench --bench forward

instructions:           ## Instructions per event of each stage, by valgrind; records the test's counts
	LAKEHOOK_RECORD=1 cargo nextest run -E 'test(the_hot_path_does_no_more)'
	cargo bench --bench stages -- --instructions

demo:                   ## See it work
	cargo run --release -- demo

analytics: setup        ## The demo, and then dbt over its lake: the marts are shown
	cargo run --release -- demo --duration 20s
	.venv-analytics/bin/python analytics/run.py --config lakehook-demo/lakehook.toml \
	  --lakehook target/release/lakehook --database lakehook-demo/analytics.duckdb

examples: setup         ## The systems in examples/, in small: each compares its numbers with an independent count
	cargo build --bin lakehook
	.venv-analytics/bin/python examples/hallow/run.py --small
	.venv-analytics/bin/python examples/attribution/run.py --small
	.venv-analytics/bin/python examples/campaign/run.py --small
	.venv-analytics/bin/python examples/claims/run.py --small
	.venv-analytics/bin/python examples/ecommerce/run.py --small

clean:
	rm -rf target .venv .venv-analytics .venv-schemathesis .venv-readers .venv-spark .venv-clients .venv-examples tests/node/node_modules examples/*/graphql/node_modules data lakehook-demo lakehook-torture
