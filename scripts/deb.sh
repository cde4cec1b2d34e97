#!/usr/bin/env bash
# Makes a Debian package of what `make install` installs, and prints its path.
#
#   scripts/deb.sh BINARY FOLDER [VERSION]
#
# VERSION is that of Cargo.toml when not given.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
. "$root/scripts/apt.sh"

binary="$1"
folder="$2"
version="${3:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)}"

command -v dpkg-deb >/dev/null || apt_install dpkg ||
    { echo "deb.sh: there is no dpkg-deb, and none could be installed" >&2; exit 1; }

stage="$(mktemp -d)"
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"
umask 022
make --silent --no-print-directory -C "$root" install \
    BINARY="$(realpath "$binary")" DESTDIR="$stage" PREFIX=/usr SYSCONFDIR=/etc >/dev/null
strip "$stage/usr/bin/kryten-llm"
gzip -9n "$stage/usr/share/doc/kryten-llm/"*.md "$stage/usr/share/man/man1/"*
mv "$stage/usr/share/doc/kryten-llm/LICENSE" "$stage/usr/share/doc/kryten-llm/copyright"

architecture="$(dpkg --print-architecture)"
glibc="$(objdump -T "$stage/usr/bin/kryten-llm" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)"
mkdir "$stage/DEBIAN"
cat >"$stage/DEBIAN/control" <<CONTROL
Package: kryten-llm
Version: $version
Architecture: $architecture
Maintainer: the Kryten group <kryten@localhost>
Installed-Size: $(du -k -s "$stage" | cut -f 1)
Section: net
Priority: optional
Depends: libc6 (>= ${glibc#GLIBC_}), libgcc-s1, passwd, systemd
Recommends: ca-certificates, logrotate
Description: chat bot of the Kryten group
 Reads CyTube chat from NATS, answers through an LLM, and tells the truth
 about its own health.
CONTROL
(cd "$stage" && find etc -type f -printf '/%p\n' | sort) >"$stage/DEBIAN/conffiles"
install -m 755 "$root/packaging/postinst" "$root/packaging/prerm" "$root/packaging/postrm" "$stage/DEBIAN/"

mkdir -p "$folder"
package="$folder/kryten-llm_${version}_$architecture.deb"
dpkg-deb --root-owner-group -Zgzip -z"${DEB_LEVEL:-9}" --build "$stage" "$package" >/dev/null
echo "$package"
