#!/usr/bin/env bash
# Prints the folder of a `prometheus` and its `promtool`, which the tests of monitoring/ need, and fetches
# them when there are none.
#
# Looked for in this order: the PATH, .tools/prometheus. Else Debian's package is unpacked into the latter
# (ignored by git). It is not installed: that would start a Prometheus on this machine now and at each boot,
# and bring packages that only its pages need. Else brew is asked, which starts nothing.
# Only the path goes to stdout; what is being done goes to stderr.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
tools="$root/.tools"
. "$root/scripts/apt.sh"

say() { echo "prometheus.sh: $*" >&2; }

# usable FOLDER: are both there, and do they run?
usable() {
    "$1/promtool" --version >/dev/null 2>&1 && "$1/prometheus" --version >/dev/null 2>&1
}

# download FOLDER: leaves the package in FOLDER.
download() {
    (cd "$1" && apt-get download -qq -o APT::Sandbox::User=root prometheus) >&2
}

fetch_package() {
    local work
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    mkdir -p "$tools"
    work="$(mktemp -d "$tools/fetch.XXXXXX")"
    # Expanded now: `work` is gone when the trap runs.
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    say "fetching Debian's package prometheus into $tools"
    # A fresh machine has no lists of packages, or old ones.
    download "$work" 2>/dev/null || { as_root apt-get update -qq >&2 && download "$work"; } || return 1
    dpkg-deb --extract "$work"/prometheus_*.deb "$work/unpacked"
    usable "$work/unpacked/usr/bin" || { say "the package's prometheus does not run here"; return 1; }
    rm -rf "$tools/prometheus"
    mv "$work/unpacked/usr/bin" "$tools/prometheus"
}

on_path() { dirname "$(command -v promtool || echo /nowhere/promtool)"; }

for candidate in "$(on_path)" "$tools/prometheus"; do
    if usable "$candidate"; then
        echo "$candidate"
        exit 0
    fi
done

if fetch_package; then
    echo "$tools/prometheus"
    exit 0
fi

if command -v brew >/dev/null && brew install --quiet prometheus >&2 && usable "$(on_path)"; then
    on_path
    exit 0
fi

say "no prometheus with its promtool was found, and none could be fetched."
exit 1
