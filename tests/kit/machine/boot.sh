# Boots systemd on a copy of this machine's files that is gone when it ends: nothing outside of FOLDER
# changes. Network and loopback are those of this machine. To be run as root in a mount namespace:
#
#   unshare --mount --propagation private bash boot.sh FOLDER
#
# FOLDER/shared is /srv there. The groups of its processes are a folder of their own under the machine's.
set -euo pipefail

folder="$1"
name="$(basename "$folder")"

mkdir -p "$folder/shared" "$folder/layers" "$folder/groups"
mount -t tmpfs -o mode=755 tmpfs "$folder/layers"
mkdir "$folder/layers/upper" "$folder/layers/work" "$folder/layers/root"
mount -t overlay overlay "$folder/layers/root" \
    -o "lowerdir=/,upperdir=$folder/layers/upper,workdir=$folder/layers/work"
mount -t cgroup2 cgroup2 "$folder/groups"
mkdir "$folder/groups/$name"
echo $$ >"$folder/groups/$name/cgroup.procs"

inside() {
    set -euo pipefail
    cd "$1/layers/root"
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount --rbind /dev dev
    mount -t tmpfs -o mode=755 tmpfs run
    mount --bind "$1/shared" srv
    # Of this machine's own services only the journal is of interest.
    mount -t tmpfs -o mode=755 tmpfs etc/systemd/system
    for wants in usr/lib/systemd/system/*.target.wants; do mount -t tmpfs -o mode=755 tmpfs "$wants"; done
    mkdir run/systemd run/systemd/journald.conf.d
    printf '[Journal]\nReadKMsg=no\n' >run/systemd/journald.conf.d/own.conf
    printf '[Unit]\nDescription=Up\nRequires=systemd-journald.service\n' >etc/systemd/system/up.target
    mkdir run/outside
    pivot_root . run/outside
    umount -l /run/outside
    # As on any machine: what systemd mounts for a service, its credentials for one, is seen by the service.
    mount --make-rshared /
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=kryten /lib/systemd/systemd --system --unit=up.target
}
export -f inside
exec unshare --pid --fork --cgroup --uts --ipc --mount --kill-child bash -c 'inside "$0"' "$folder"
