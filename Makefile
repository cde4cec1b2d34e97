# `make` says what there is to do. Only bash, a C compiler and Rust are needed; scripts/setup.sh gets
# what else is missing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup fmt docs test demo run manual bench mutants

help: ## Say what there is to do
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1@\2/p' $(MAKEFILE_LIST) | \
		awk -F@ '{ printf "%-14s %s\n", $$1, $$2 }'

setup: ## Get what is missing: a C compiler, rustfmt, clippy, a nats-server
	@scripts/setup.sh

fmt: ## Format the code
	cargo fmt --all

docs: ## Write the reference and the JSON Schema of the config anew
	mkdir -p docs
	cargo run --quiet -- config-schema --markdown > docs/CONFIGURATION.md
	cargo run --quiet -- config-schema > config.schema.json

test: setup ## Check the format, lint, and run all tests against a real nats-server
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@# The stories mostly wait for each other's servers, so more of them run than there are cores.
	NATS_SERVER="$$(scripts/nats-server.sh)" RUST_TEST_THREADS=6 cargo test --workspace

demo: setup ## See the daemon at work, told in plain words
	cargo build --quiet --bin kryten-llm
	NATS_SERVER="$$(scripts/nats-server.sh)" cargo run --quiet --example demo

run: setup ## Start the daemon with neighbours of its own, to play with; Ctrl-C ends it
	cargo build --quiet --bin kryten-llm
	cargo build --quiet --example demo --example bus
	NATS_SERVER="$$(scripts/nats-server.sh)" cargo run --quiet --example demo -- --stay

manual: setup ## Open a shell for the scenarios of MANUAL_TESTING.md
	@bash --rcfile scripts/manual.sh -i

bench: setup ## Measure start, cost and speed
	NATS_SERVER="$$(scripts/nats-server.sh)" cargo bench

# What `make mutants` tries: OF=health or OF=chat, and of that the part SHARD, such as 0/8.
OF = health
SHARD = 0/1
mutants_of_health = --file 'src/health/**' --file 'src/heartbeat/schedule.rs' -- --lib -- health:: heartbeat::
mutants_of_chat = --file 'src/chat/**' -- --lib -- chat::

mutants: setup ## Try whether the unit tests notice wrong health, or with OF=chat wrong decisions: takes long
	@cargo mutants --version >/dev/null 2>&1 || { echo "installing cargo-mutants"; cargo install --locked cargo-mutants; }
	cargo mutants --package kryten-llm --jobs 1 --shard $(SHARD) $(or $(mutants_of_$(OF)),$(error OF is health or chat))
