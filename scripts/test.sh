#!/usr/bin/env bash
# What `make test` does: checks the format, lints, builds all tests once, and runs their programs, most of
# them side by side, since they mostly wait. Prints the output of each whole, and at the end how each went
# and how long it took. Fails when any of them fails.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"
out="$(mktemp -d)"
# The stories mostly wait for each other's servers, so more of them run than there are cores.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-6}"

# Jobs get process groups of their own, and the signals that they would have in the foreground.
set -m
jobs=()
end_what_is_left() {
    local job
    for job in "${jobs[@]}"; do
        kill -- "-$job" 2>/dev/null || true
    done
    rm -rf "$out"
}
trap end_what_is_left EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# in_background NAME COMMAND…: its output and its exit code go to files of that name.
in_background() {
    local name="$1"
    shift
    (
        began=$SECONDS code=0
        "$@" >"$out/$name.log" 2>&1 </dev/null || code=$?
        echo "$code $((SECONDS - began))" >"$out/$name.end"
    ) &
    jobs+=($!)
}

# in_folder FOLDER COMMAND…: as cargo would run it.
in_folder() {
    cd "$1"
    export CARGO_MANIFEST_DIR="$1"
    shift
    "$@"
}

# finish NAME JOB: waits for it and prints what it said.
failed=() summary=()
finish() {
    local code seconds
    wait "$2" || true
    read -r code seconds <"$out/$1.end" || { code=lost seconds=0; }
    printf '\n==> %s\n' "$1"
    cat "$out/$1.log"
    summary+=("$(printf '%5d s  %-30s %s' "$seconds" "$1" "$([ "$code" = 0 ] && echo passed || echo "FAILED ($code)")")")
    [ "$code" = 0 ] || failed+=("$1")
}

scripts/setup.sh build
# The rest comes while we compile.
in_background setup scripts/setup.sh bus tests
setup=$!

cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
cargo test --workspace --no-run --message-format=json-render-diagnostics >"$out/artifacts"

finish setup "$setup"
# Where promtool is when it was fetched.
export PATH="$PATH:$root/.tools/prometheus"
[ ${#failed[@]} = 0 ] || exit 1
NATS_SERVER="$(scripts/nats-server.sh)"
export NATS_SERVER

# The programs that cargo has just built for tests: the folder in which each runs, and its path.
sed -n 's/^{"reason":"compiler-artifact",.*"manifest_path":"\([^"]*\)\/Cargo.toml",.*"overflow_checks":[a-z]*,"test":true}.*"executable":"\([^"]*\)".*/\1 \2/p' \
    "$out/artifacts" >"$out/programs"
# None may be missed, whatever order cargo writes its fields in.
built="$(grep '"reason":"compiler-artifact"' "$out/artifacts" | grep '"profile":{[^}]*"test":true' | grep -vc '"executable":null')"
known="$(wc -l <"$out/programs")"
[ "$known" -gt 0 ] && [ "$built" = "$known" ] ||
    { echo "test.sh: cargo built $built test programs, and $known of them are understood" >&2; exit 1; }

# start FOLDER PROGRAM
start() {
    local name="${2##*/}"
    name="$(basename "$1")/${name%-*}"
    name="${name//\//-}"
    # The stories keep time: what only computes, or has time, leaves the cores to them.
    local -a kind=()
    case "$name" in
        *-kryten_llm*) kind=(nice -n 15) ;;
        *-package | *-browser) kind=(nice -n 5) ;;
    esac
    while [ -e "$out/$name.log" ]; do name+="+"; done
    : >"$out/$name.log"
    in_background "$name" in_folder "$1" "${kind[@]}" "$2"
    started=("$name" $!)
}

# Floods keep a core busy and measure, so they run alone.
grep '/floods-' "$out/programs" >"$out/alone" || true
grep -v '/floods-' "$out/programs" >"$out/together"
while read -r folder program; do
    start "$folder" "$program"
    finish "${started[@]}"
done <"$out/alone"

running=()
while read -r folder program; do
    start "$folder" "$program"
    running+=("${started[*]}")
done <"$out/together"
for one in "${running[@]}"; do
    # Unquoted on purpose: a name and a job.
    finish $one
done

echo
grep -h '^SKIPPED' "$out"/*.log || true
printf '%s\n' "${summary[@]}" "    in all, with compiling: $SECONDS s"
[ ${#failed[@]} = 0 ] || { echo "FAILED: ${failed[*]}" >&2; exit 1; }
