# Sourced by `make manual`: a bash with everything that MANUAL_TESTING.md needs. It builds what is
# missing, starts a NATS server and the stand-ins for the robot and two LLM providers in a folder of its
# own, and goes there. What it started ends with the shell.
#
# NATS_PORT: where NATS listens (default 4333). KRYTEN_BIN: a folder with the built programs; else cargo
# builds them.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export NATS_PORT="${NATS_PORT:-4333}" NATS_URL="nats://127.0.0.1:${NATS_PORT:-4333}"
# The example's second provider wants a key; a stand-in takes any.
export OPENROUTER_API_KEY="key-of-a-stand-in"

if [ -z "${KRYTEN_BIN:-}" ]; then
    (cd "$root" && cargo build --quiet --bin kryten-llm && cargo build --quiet --example demo --example bus)
    KRYTEN_BIN="${CARGO_TARGET_DIR:-$root/target}/debug"
fi
NATS_SERVER="$("$root/scripts/nats-server.sh")"
export KRYTEN_BIN NATS_SERVER PATH="$KRYTEN_BIN:$PATH"

folder="$(mktemp -d "${TMPDIR:-/tmp}/kryten-manual.XXXXXX")"
export FOLDER="$folder"
cd "$folder" || return 1

bus() { "$KRYTEN_BIN/examples/bus" "$@"; }

# await SECONDS COMMAND…: until the command succeeds.
await() {
    local tries=$((10 * $1))
    shift
    until "$@"; do
        [ $((tries -= 1)) -gt 0 ] || { echo "waited in vain for: $*" >&2; return 1; }
        sleep 0.1
    done
}

# start [NAME]: starts the daemon with NAME.json (default: config), logging to NAME.log, and waits until it
# has announced itself.
start() {
    local name="${1:-config}"
    : > "$FOLDER/$name.log"
    (
        cd "$FOLDER" || exit
        "$KRYTEN_BIN/kryten-llm" --config "$name.json" >> "$name.log" 2>&1 &
        echo $! > "$name.pid"
        wait $!
        echo "exit code $?" >> "$name.log"
    ) > /dev/null 2>&1 &
    await 10 grep -q " announced" "$FOLDER/$name.log"
}

# stop [NAME]: asks it to stop, waits for its end, and says how it ended.
stop() {
    local name="${1:-config}"
    kill -TERM "$(cat "$FOLDER/$name.pid")"
    ended "$name"
}

# ended [NAME]: waits for the daemon's end, and says how it ended.
ended() {
    local name="${1:-config}"
    await 40 grep -q "^exit code" "$FOLDER/$name.log" && tail -n 1 "$FOLDER/$name.log"
    rm -f "$FOLDER/$name.pid"
}

# say TEXT: somebody says something in the room.
say() { bus pub kryten.events.cytube.movienight.chatmsg "{\"payload\":{\"username\":\"alice\",\"msg\":\"$1\"}}"; }

# page [PATH]: what the daemon's HTTP says at PATH; without one, its address.
page() {
    local address
    address="$(grep -i http "$FOLDER/config.log" | grep -oE '127\.0\.0\.1:[0-9]+' | head -n 1)"
    [ $# -gt 0 ] || { echo "http://$address/"; return; }
    exec 9<> "/dev/tcp/127.0.0.1/${address##*:}"
    printf 'GET %s HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n\r\n' "$1" "$address" >&9
    sed '1,/^\r$/d' <&9
    exec 9>&-
}

# shows TEXT PATH: prints TEXT when it is on a page; false when it is not.
shows() { page "$2" | grep -oF "$1" | head -n 1 | grep .; }

# nats_up: starts the NATS server. nats_down: ends it.
nats_up() {
    # Emptied before the wait: the last server's log says that it was ready too.
    : > "$FOLDER/nats.log"
    ("$NATS_SERVER" --addr 127.0.0.1 --port "$NATS_PORT" >> "$FOLDER/nats.log" 2>&1 & echo $! > "$FOLDER/nats.pid")
    await 10 grep -q "Server is ready" "$FOLDER/nats.log"
}
nats_down() {
    kill "$(cat "$FOLDER/nats.pid")"
    await 10 grep -q "Server Exiting" "$FOLDER/nats.log"
}

clean_up() {
    cd /
    cat "$FOLDER"/*.pid 2> /dev/null | xargs kill 2> /dev/null
    rm -rf "$FOLDER"
}
trap clean_up EXIT

export -f bus await start stop ended say nats_up nats_down
nats_up || { tail -n 1 "$FOLDER/nats.log" >&2; echo "is port $NATS_PORT taken? Choose another: NATS_PORT=4334 make manual" >&2; exit 1; }
("$KRYTEN_BIN/examples/demo" --neighbours > "$FOLDER/neighbours.log" 2>&1 & echo $! > "$FOLDER/neighbours.pid")
await 10 test -s "$FOLDER/config.json" || { cat "$FOLDER/neighbours.log" >&2; exit 1; }
PS1='manual> '
echo "NATS runs at $NATS_URL; the robot and two LLM providers pretend. You are in $folder."
