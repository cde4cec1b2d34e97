#!/bin/sh
# Runs $DAEMON with `state` on a file system of its own, of 1 MiB, that nobody else sees.
exec unshare --user --map-root-user --mount \
    sh -c 'mount -t tmpfs -o size=1m none state && exec "$DAEMON" "$@"' sh "$@"
