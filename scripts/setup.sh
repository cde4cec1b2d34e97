#!/usr/bin/env bash
# Gets what is needed here and the machine lacks. Says what it installs; does nothing, quickly, when all is
# there.
#
#   scripts/setup.sh [build|bus|tests]…
#
# build: a C compiler to link with, rustfmt and clippy. bus: a nats-server. tests: what only tests need, and
# they say loudly what they skip without it. All three when none is named.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
. "$root/scripts/apt.sh"

fail() {
    echo "setup.sh: $*" >&2
    exit 1
}

build() {
    command -v cargo >/dev/null || fail "there is no cargo: install Rust (https://rustup.rs), then try again"
    if ! command -v cc >/dev/null; then
        if [ "$(uname)" = Darwin ]; then
            fail "there is no C compiler: run 'xcode-select --install', then try again"
        fi
        apt_install gcc libc6-dev || fail "there is no C compiler, and none could be installed: install gcc or clang"
    fi
    for tool in fmt clippy; do
        if ! cargo "$tool" --version >/dev/null 2>&1; then
            component="${tool/#fmt/rustfmt}"
            echo "installing with rustup: $component" >&2
            rustup component add "$component" >&2 || fail "there is no $component, and rustup could not add it"
        fi
    done
}

bus() {
    "$root/scripts/nats-server.sh" >/dev/null
}

tests() {
    if [ "$(uname)" = Linux ]; then
        for tool in systemd-analyze:systemd logrotate:logrotate; do
            command -v "${tool%%:*}" >/dev/null || apt_install "${tool##*:}" ||
                echo "setup.sh: there is no ${tool%%:*}, and it could not be installed: its tests are skipped" >&2
        done
    fi
    "$root/scripts/prometheus.sh" >/dev/null ||
        echo "setup.sh: there is no prometheus, and it could not be fetched: its tests are skipped" >&2
}

[ $# -gt 0 ] || set -- build bus tests
for part in "$@"; do
    case "$part" in
        build | bus | tests) "$part" ;;
        *) fail "unknown part: $part" ;;
    esac
done
