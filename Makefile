# `make check` while working, `make test` before a commit, `make proof` for the large counts.

SHELL := /bin/bash
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)

.PHONY: check test proof lint bench instructions demo analytics venv nextest clean

check: nextest          ## Unit, contract and snapshot tests; under 3 minutes
	cargo nextest run --lib --bins

test: venv nextest      ## Everything that can fail, in small counts
	cargo build --all-targets
	cargo nextest run
	cargo test --doc

proof: venv nextest     ## The same in large counts; takes hours
	LAKEHOOK_OBJECTS=10000 LAKEHOOK_OUTAGE=full LAKEHOOK_OVERLOAD=60 PROPTEST_CASES=100000 cargo nextest run --profile proof
	LAKEHOOK_KILLS=1000 LAKEHOOK_CUTS=1000 LAKEHOOK_SEEDS=30000 cargo nextest run --release --profile proof -E 'test(/^crashes|^power_cuts|seeds_of/)'
	cargo run --release -- torture --duration 10m

lint:                   ## Format, lints, documentation
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

bench: venv             ## Figures: W1 and W100 beside bare axum and the disk; polls; lines and Parquet
	cargo bench --bench throughput
	cargo bench --bench polls
	cargo bench --bench formats
	cargo bench --bench log

instructions: nextest   ## Instructions an event of each stage, by valgrind; writes the test's figures anew
	LAKEHOOK_RECORD=1 cargo nextest run -E 'test(the_hot_path_does_no_more)'
	cargo bench --bench stages -- --instructions

demo:                   ## See it work
	cargo run --release -- demo

analytics: venv         ## The demo, and then dbt over its lake: the marts are shown
	cargo run --release -- demo --duration 20s
	.venv-analytics/bin/python analytics/run.py --config lakehook-demo/lakehook.toml \
	  --lakehook target/release/lakehook --database lakehook-demo/analytics.duckdb

venv:                   ## What the tests need besides Rust: DuckDB, a second S3 server, dbt, Schemathesis, engines that read
	sh tests/python/setup.sh
	sh tests/python/setup.sh analytics/requirements.txt .venv-analytics
	sh tests/python/setup.sh tests/python/schemathesis.txt .venv-schemathesis
	sh tests/python/setup.sh tests/python/readers.txt .venv-readers
	sh tests/python/setup.sh tests/python/spark.txt .venv-spark

nextest:
ifeq ($(NEXTEST),)
	cargo install --locked cargo-nextest
endif

clean:
	rm -rf target .venv .venv-analytics .venv-schemathesis .venv-readers .venv-spark data lakehook-demo lakehook-torture
