#!/usr/bin/env bash
# Run make targets on a release of Debian, in a bare root made by debootstrap and on a clone of this tree.
#
#     tests/debian.sh SUITE [TARGET ...]        such as: tests/debian.sh trixie demo test
#
# Every call unpacks a root that has git, make and certificates only, so that the set-up is tested too. The downloads
# and the toy archives are kept in ${XDG_CACHE_HOME:-~/.cache}/sra2matrix/debian. Needs root, debootstrap and 4 GB.
# Exit status: 69 where no such root can be made, else that of make.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly SUITE=${1:?SUITE is missing, such as trixie}
readonly TARGETS=("${@:2}")
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/sra2matrix/debian/$SUITE
readonly BARE=$CACHE/root.tar
readonly UNAVAILABLE=69

unavailable() {
    printf 'debian.sh: no root of Debian %s: %s\n' "$SUITE" "$*" >&2
    exit "$UNAVAILABLE"
}

# The mirror that this machine's apt uses; nothing where it has none, and debootstrap takes its own.
mirror() {
    apt-get indextargets --format "\$(ORIGIN) \$(REPO_URI)" 'Created-By: Packages' 2>/dev/null |
        sed -n '/security/d; s/^Debian //p' | sed -n 1p
}

make_bare_root() {
    local root=$1
    # A mount namespace of its own: what debootstrap mounts ends with it.
    # shellcheck disable=SC2046
    unshare --mount debootstrap --variant=minbase --include=git,make,ca-certificates "$SUITE" "$root" $(mirror) \
        >"$CACHE/debootstrap.log" 2>&1 &&
        rm -f "$root"/var/cache/apt/archives/*.deb
}

# How this machine reaches its package registries, and how it is called.
copy_network_settings() {
    local root=$1
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/pip.conf"
    { apt-config dump | grep -E '^Acquire::(https?|ftp|Check-|Retries)'; } >"$root/etc/apt/apt.conf.d/90host" 2>/dev/null || true
    if [ -n "$(ls /usr/local/share/ca-certificates 2>/dev/null)" ]; then
        cp /usr/local/share/ca-certificates/* "$root/usr/local/share/ca-certificates/"
        chroot "$root" update-ca-certificates >/dev/null 2>&1
    fi
}

run_targets() {
    local root=$1 settings
    mapfile -t settings < <(env | grep -iE '^((http|https|ftp|no|all)_proxy|PIP_(CERT|INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|DEFAULT_TIMEOUT))=')
    mkdir -p "$CACHE/apt" "$CACHE/home" "$root/root/.cache"
    # With namespaces of its own, no process, mount and shared memory outlives the call. The root becomes that of the
    # namespace, as tests make namespaces of their own, which a changed root alone does not allow.
    unshare --mount --ipc --pid --fork --kill-child bash -euc '
        root=$1 cache=$2
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs tmpfs "$root/dev/shm"
        mount --rbind /sys "$root/sys"
        mount --bind "$cache/apt" "$root/var/cache/apt/archives"
        mount --bind "$cache/home" "$root/root/.cache"
        cd "$root"
        pivot_root . mnt
        exec chroot . bash -euc "umount -l /mnt; cd /root/sra2matrix; exec env -i \"\$@\"" bash "${@:3}"
    ' bash "$root" "$CACHE" HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        "${settings[@]}" make "${TARGETS[@]}"
}

[ "$(id -u)" = 0 ] || unavailable "that needs root"
command -v debootstrap >/dev/null || unavailable "debootstrap is not installed"
unshare --mount true 2>/dev/null || unavailable "no mount namespace is allowed here"

mkdir -p "$CACHE"
root=$(mktemp -d "$CACHE/root.XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
find "$BARE" -mtime +30 -delete 2>/dev/null || true
if [ ! -e "$BARE" ]; then
    make_bare_root "$root" || unavailable "debootstrap failed, see $CACHE/debootstrap.log"
    tar -C "$root" -cf "$root.tar" .
    mv "$root.tar" "$BARE"
else
    tar -C "$root" -xf "$BARE"
fi
chmod 755 "$root"
copy_network_settings "$root"
git clone -q . "$root/root/sra2matrix"
run_targets "$root"
