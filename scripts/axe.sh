#!/usr/bin/env bash
# Prints the path of axe, which looks for what keeps people from using a page, and fetches it with npm
# into .tools when it is not there. Only the path goes to stdout. Safe to run twice at once: it is
# unpacked aside and moved into place in one step.
set -euo pipefail

version="4.14.1"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
tools="$root/.tools"
axe="$tools/axe-core-$version.js"
. "$root/scripts/apt.sh"

if [ ! -s "$axe" ]; then
    command -v npm >/dev/null || apt_install npm || { echo "axe.sh: there is no npm, and it could not be installed" >&2; exit 1; }
    mkdir -p "$tools"
    work="$(mktemp -d "$tools/fetch.XXXXXX")"
    # Expanded now: `work` is gone when the trap runs.
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    echo "axe.sh: fetching axe-core $version into $tools" >&2
    (cd "$work" && npm pack --silent "axe-core@$version" >/dev/null && tar -xzf axe-core-*.tgz package/axe.min.js)
    mv -f "$work/package/axe.min.js" "$axe"
fi
echo "$axe"
