# Sourced by the other scripts: installing system packages where that can be done without a question.

# as_root COMMAND…: runs it as root when we may; false otherwise.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo "$@"
    else
        return 1
    fi
}

# apt_install PACKAGE…: says so, and installs them; false where there is no apt-get or we may not. What
# apt-get prints is shown only when it fails.
apt_install() {
    local printed
    command -v apt-get >/dev/null || return 1
    echo "installing with apt-get: $*" >&2
    printed="$(as_root apt-get update -qq 2>&1 &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" 2>&1)" ||
        { echo "$printed" >&2; return 1; }
}
