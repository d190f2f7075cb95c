#!/usr/bin/env bash
# otp-root.sh make OTP: a Debian of its own with that OTP, unless it is there, in RAM_MATRIX_CACHE
#     (~/.cache/ram-matrix). Ends with 77, and says why, where that cannot be done.
# otp-root.sh run OTP COMMAND...: runs the command in this tree, as root of that Debian. What is
#     built there is apart from what is built here: target, _build and priv are other folders.
#
# It needs root, Linux and debootstrap. Nothing outlives the command: its mounts are in a namespace
# of its own. The Rust toolchain, the network and the processes are those of this machine. A Debian
# is made with next to nothing in it, so that what is tested there is tested on a fresh machine.
#     RAM_MATRIX_MIRROR   where Debian is fetched from; else from where apt fetches it
#     RAM_MATRIX_LIBRARY  another OTP, whose library the command finds in priv
#     RAM_MATRIX_SHARED   a folder that is seen in there too
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cache=${RAM_MATRIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ram-matrix}
self=$root/scripts/otp-root.sh

declare -A releases=([25]=bookworm [27]=trixie [29]=testing)

cannot() {
    echo "matrix: $*" >&2
    exit 77
}

# The libraries of Debian's own tools, and none of the packages that ram needs.
make_root() {
    local otp=$1 release=${releases[$1]:-} mirror log=$cache/otp$1.log script
    if [[ -z $release ]]; then cannot "no Debian has OTP $otp; there are ${!releases[*]}"; fi
    if [[ $(uname -s) != Linux ]]; then cannot "only Linux has what this needs"; fi
    if (($(id -u) != 0)); then cannot "only root may make a Debian, and mount"; fi
    if ! unshare --mount true 2>/dev/null; then cannot "nothing can be mounted here"; fi
    if ! [[ -d $(cargo_home) && -d $(rustup_home) ]]; then
        cannot "the Rust toolchain has to be one of rustup's: ~/.cargo and ~/.rustup"
    fi
    mkdir -p "$cache"
    exec 9>"$cache/otp$otp.lock"
    flock 9    # another run may be making it
    if [[ -d $cache/otp$otp ]]; then return; fi
    if ! command -v debootstrap >/dev/null; then
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends debootstrap \
            debian-archive-keyring >"$log" 2>&1 || cannot "debootstrap is not installed"
    fi
    mirror=$(mirror)
    if [[ -z $mirror ]]; then cannot "RAM_MATRIX_MIRROR has to name a mirror of Debian"; fi
    script=/usr/share/debootstrap/scripts/$release
    if ! [[ -e $script ]]; then script=/usr/share/debootstrap/scripts/sid; fi
    rm -rf --one-file-system "$cache/otp$otp.new"
    # What it mounts goes with it, also when it is interrupted.
    timeout 900 unshare --mount --propagation private \
        debootstrap --variant=minbase --include=ca-certificates,make "$release" \
        "$cache/otp$otp.new" "$mirror" "$script" >"$log" 2>&1 ||
        { tail -n 3 "$log" >&2; cannot "debootstrap failed: $log"; }
    # A mirror may lag behind; what it has is signed all the same.
    echo 'Acquire::Check-Valid-Until "false";' >"$cache/otp$otp.new/etc/apt/apt.conf.d/99mirror"
    mv "$cache/otp$otp.new" "$cache/otp$otp"
}

# Where apt of this Debian fetches from.
mirror() {
    if [[ -n ${RAM_MATRIX_MIRROR:-} ]]; then echo "$RAM_MATRIX_MIRROR"; return; fi
    if ! grep -q '^ID=debian$' /etc/os-release; then return; fi
    # shellcheck disable=SC2016 # words of apt's
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security |
        head -n 1 || true
}

cargo_home() { echo "${CARGO_HOME:-$HOME/.cargo}"; }
rustup_home() { echo "${RUSTUP_HOME:-$HOME/.rustup}"; }

built() { echo "$cache/built/otp$1$(tr / - <<<"$root")"; }

# mount_at SOURCE TARGET-IN-THE-ROOT
mount_at() {
    if [[ -d $1 ]]; then mkdir -p "$into$2"; else mkdir -p "$into${2%/*}"; : >>"$into$2"; fi
    mount --bind "$1" "$into$2"
}

mount_all() {
    local otp=$1 folder git
    # Whoever makes a namespace of mounts in there expects / to be one.
    mount --bind "$into" "$into"
    for folder in /proc /dev /sys; do mount --rbind $folder "$into$folder"; done
    mount_at "$(cargo_home)" /root/.cargo
    mount_at "$(rustup_home)" /root/.rustup
    # How this machine finds others, and whom it trusts.
    for folder in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
        if [[ -s $folder ]]; then mount_at "$(realpath "$folder")" "$folder"; fi
    done
    for folder in "${SSL_CERT_FILE:-}" "${PIP_CERT:-}" "${CARGO_HTTP_CAINFO:-}"; do
        if [[ $folder = /* && -s $folder && $folder != /etc/ssl/certs/ca-certificates.crt ]]; then
            mount_at "$(realpath "$folder")" "$folder"
        fi
    done
    # The repository of a work tree is elsewhere.
    git=$(git rev-parse --path-format=absolute --git-common-dir 2>/dev/null || true)
    if [[ -n $git && $git != "$root"/* ]]; then mount_at "$git" "$git"; fi
    mount_at "$root" "$root"
    for folder in target _build priv; do mount_at "$(built "$otp")/$folder" "$root/$folder"; done
    if [[ -n ${RAM_MATRIX_LIBRARY:-} ]]; then
        mount_at "$(built "$RAM_MATRIX_LIBRARY")/priv" "$root/priv"
    fi
    if [[ -n ${RAM_MATRIX_SHARED:-} ]]; then mount_at "$RAM_MATRIX_SHARED" "$RAM_MATRIX_SHARED"; fi
}

# Of this environment what says how to build, test and reach the network; nothing of its Erlang.
environment() {
    env | grep -E '^(CARGO|RUST|RAM|PIP|SSL_CERT)[A-Z_]*=|^[a-z]+_proxy=|^[A-Z]+_PROXY=|^JOBS=' |
        grep -vE '^(CARGO_(HOME|TARGET_DIR)|RUSTUP_HOME|RUSTC[A-Z_]*)=' |
        grep -vE '^RAM_(MATRIX[A-Z_]*|VERSIONS)=' ||
        true
}

# In a namespace of mounts by now.
enter() {
    local otp=$1 variables
    shift
    into=$cache/otp$otp
    mount_all "$otp"
    mapfile -t variables < <(environment)
    # Git takes no tree of another user.
    exec chroot "$into" env -i HOME=/root USER=root LANG=C.UTF-8 LC_ALL=C.UTF-8 TERM=dumb \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/root/.cargo/bin \
        CARGO_TERM_COLOR=never GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory \
        GIT_CONFIG_VALUE_0='*' "${variables[@]}" bash -c 'cd "$0" && exec "$@"' "$root" "$@"
}

run() {
    local folder
    if ! [[ -d $cache/otp$1 ]]; then
        echo "matrix: there is no root for OTP $1: scripts/otp-root.sh make $1" >&2
        exit 1
    fi
    for folder in target _build priv; do mkdir -p "$(built "$1")/$folder" "$root/$folder"; done
    RAM_MATRIX_ENTERED=$$ exec unshare --mount --propagation private "$self" run "$@"
}

what=$1
shift
case $what in
    make) make_root "$1" ;;
    # The number of the process stays the same through every `exec'.
    run) if [[ ${RAM_MATRIX_ENTERED:-} = "$$" ]]; then enter "$@"; else run "$@"; fi ;;
esac
