# `make` says what there is to do. Only bash, a C compiler and Rust are needed; scripts/setup.sh gets
# what else is missing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-run fmt docs test demo run manual bench mutants install uninstall deb

# Where `make install` puts things; DESTDIR goes before all of it.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
BINARY ?= target/release/kryten-llm
DOCS = $(DESTDIR)$(PREFIX)/share/doc/kryten-llm
UNIT = $(DESTDIR)$(PREFIX)/lib/systemd/system/kryten-llm.service
USERS = $(DESTDIR)$(PREFIX)/lib/sysusers.d/kryten-llm.conf
ROTATION = $(DESTDIR)$(SYSCONFDIR)/logrotate.d/kryten-llm
CONFIG = $(DESTDIR)$(SYSCONFDIR)/kryten-llm/config.json
MAN = $(DESTDIR)$(PREFIX)/share/man/man1/kryten-llm.1
BASH_COMPLETION = $(DESTDIR)$(PREFIX)/share/bash-completion/completions/kryten-llm
ZSH_COMPLETION = $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_kryten-llm
FISH_COMPLETION = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/kryten-llm.fish

help: ## Say what there is to do
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1@\2/p' $(MAKEFILE_LIST) | \
		awk -F@ '{ printf "%-14s %s\n", $$1, $$2 }'

setup: ## Get what is missing: a C compiler, rustfmt, clippy, a nats-server, what tests need
	@scripts/setup.sh

setup-run:
	@scripts/setup.sh build bus

fmt: ## Format the code
	cargo fmt --all

docs: ## Write the reference and the JSON Schema of the config anew
	mkdir -p docs
	cargo run --quiet -- config-schema --markdown > docs/CONFIGURATION.md
	cargo run --quiet -- config-schema > config.schema.json

test: ## Check the format, lint, and run all tests against a real nats-server
	@scripts/test.sh

demo: setup-run ## See the daemon at work, told in plain words
	cargo build --quiet --bin kryten-llm
	NATS_SERVER="$$(scripts/nats-server.sh)" cargo run --quiet --example demo

run: setup-run ## Start the daemon with neighbours of its own, to play with; Ctrl-C ends it
	cargo build --quiet --bin kryten-llm
	cargo build --quiet --example demo --example bus
	NATS_SERVER="$$(scripts/nats-server.sh)" cargo run --quiet --example demo -- --stay

manual: setup-run ## Open a shell for the scenarios of MANUAL_TESTING.md
	@bash --rcfile scripts/manual.sh -i

bench: setup-run ## Measure start, cost and speed
	NATS_SERVER="$$(scripts/nats-server.sh)" cargo bench

# What `make mutants` tries: OF=health or OF=chat, and of that the part SHARD, such as 0/8.
OF = health
SHARD = 0/1
mutants_of_health = --file 'src/health/**' --file 'src/heartbeat/schedule.rs' -- --lib -- health:: heartbeat::
mutants_of_chat = --file 'src/chat/**' -- --lib -- chat::

mutants: setup-run ## Try whether the unit tests notice wrong health, or with OF=chat wrong decisions: takes long
	@cargo mutants --version >/dev/null 2>&1 || { echo "installing cargo-mutants"; cargo install --locked cargo-mutants; }
	cargo mutants --package kryten-llm --jobs 1 --shard $(SHARD) $(or $(mutants_of_$(OF)),$(error OF is health or chat))

target/release/kryten-llm: $(shell find src -name '*.rs') Cargo.toml Cargo.lock
	cargo build --release --bin kryten-llm
	@touch $@

install: $(BINARY) ## Install the binary, the unit, the docs; a config where there is none (DESTDIR, PREFIX)
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/kryten-llm
	install -d $(dir $(UNIT)) $(dir $(USERS)) $(dir $(ROTATION)) $(DOCS)
	test -d $(dir $(CONFIG)) || install -d -m 750 $(dir $(CONFIG))
	sed 's|/usr/bin/|$(PREFIX)/bin/|; s|/usr/share/|$(PREFIX)/share/|; s|/etc/kryten-llm|$(SYSCONFDIR)/kryten-llm|' \
		packaging/kryten-llm.service | install -m 644 /dev/stdin $(UNIT)
	install -m 644 packaging/kryten-llm.sysusers $(USERS)
	install -m 644 packaging/kryten-llm.logrotate $(ROTATION)
	$(BINARY) man | install -D -m 644 /dev/stdin $(MAN)
	$(BINARY) completions bash | install -D -m 644 /dev/stdin $(BASH_COMPLETION)
	$(BINARY) completions zsh | install -D -m 644 /dev/stdin $(ZSH_COMPLETION)
	$(BINARY) completions fish | install -D -m 644 /dev/stdin $(FISH_COMPLETION)
	install -m 644 README.md MIGRATING.md CHANGELOG.md LICENSE config.example.json $(DOCS)
	install -D -m 644 docs/CONFIGURATION.md $(DOCS)/docs/CONFIGURATION.md
	cp -R monitoring $(DOCS)
	chmod -R u=rwX,go=rX $(DOCS)/monitoring
	for file in README.md grafana/provisioning/dashboards/kryten-llm.yml; do \
		sed 's|/usr/share/|$(PREFIX)/share/|' monitoring/$$file | install -m 644 /dev/stdin $(DOCS)/monitoring/$$file; \
	done
	@# The service may write only to its own folders, so these are named.
	test -e $(CONFIG) || sed 's|"logs/llm-responses.jsonl"|"/var/log/kryten-llm/responses.jsonl"|; s|"state_dir": "state"|"state_dir": "/var/lib/kryten-llm"|' \
		config.example.json | install -m 640 /dev/stdin $(CONFIG)
	@# Into this very machine: the service's user, who may read what nobody else but root may.
	if test -z "$(DESTDIR)" -a "$$(id -u)" = 0; then \
		systemd-sysusers $(USERS); \
		find $(dir $(CONFIG)) $(CONFIG) -maxdepth 0 -group root -exec chgrp kryten-llm {} +; \
		if test -d /run/systemd/system; then systemctl daemon-reload; fi; \
	fi

uninstall: ## Remove what `make install` installed; config, state and logs stay
	rm -f $(DESTDIR)$(PREFIX)/bin/kryten-llm $(UNIT) $(USERS) $(ROTATION)
	rm -f $(MAN) $(BASH_COMPLETION) $(ZSH_COMPLETION) $(FISH_COMPLETION)
	rm -rf $(DOCS)

deb: $(BINARY) ## Make a Debian package in target/
	@scripts/deb.sh $(BINARY) target
