# `make check` while working, `make test` before a commit, `make proof` for the large counts.

SHELL := /bin/bash
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)

.PHONY: check test proof lint bench demo venv nextest clean

check: nextest          ## Unit, contract and snapshot tests; under 3 minutes
	cargo nextest run --lib --bins

test: venv nextest      ## Everything that can fail, in small counts
	cargo build --all-targets
	cargo nextest run
	cargo test --doc

proof: venv nextest     ## The same in large counts; takes hours
	LAKEHOOK_KILLS=1000 LAKEHOOK_SEEDS=100000 LAKEHOOK_OUTAGE=full LAKEHOOK_CUTS=1000 cargo nextest run --profile proof

lint:                   ## Format, lints, documentation
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

bench:                  ## First figures: W1 and W100, beside bare axum and the disk; and polls
	cargo bench --bench throughput
	cargo bench --bench polls

demo:                   ## See it work
	cargo run --release -- demo

venv:                   ## What the tests need besides Rust: DuckDB and a second S3 server
	sh tests/python/setup.sh

nextest:
ifeq ($(NEXTEST),)
	cargo install --locked cargo-nextest
endif

clean:
	rm -rf target .venv data lakehook-demo
