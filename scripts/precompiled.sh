#!/usr/bin/env bash
# precompiled.sh: the native library for each of TARGETS, packed in _build/precompiled, and the map
# of these files for the package, native/precompiled.eterm. The environment:
#     TARGETS  Rust's names of systems, with spaces between (all those below)
#     URL      the folder of the release's files, https://...
#     OUT, MAP other places for the files and the map
# zig (PyPI's ziglang) is the linker and the compiler of C for all systems, so that a library needs
# no newer glibc than `glibc' says, whatever this machine has; rustup has the standard libraries.
#
# A target whose tools cannot be had is named in the summary, with the reason, and is no error: its
# users have cargo build the library. It is one when the library for this machine is not made, and
# when a library does not pass the checks of precompiled_verify.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

tools=$root/target/tools/precompiled
out=${OUT:-$root/_build/precompiled}
map=${MAP:-$root/native/precompiled.eterm}
glibc=2.31
nif=2.16
version=$(sed -n 's/^ *{vsn, "\(.*\)"},/\1/p' erlang/ram.app.src)
host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=${CARGO_TARGET_DIR:-$root/target}
targets=(x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu
    x86_64-unknown-linux-musl aarch64-unknown-linux-musl
    x86_64-apple-darwin aarch64-apple-darwin)
if [[ -n ${TARGETS:-} ]]; then read -ra targets <<<"$TARGETS"; fi
if [[ ! ${URL:-} =~ ^https://[^[:space:]\"\\]+$ ]]; then
    echo "usage: make precompiled URL=https://where/the/files/will/be [TARGETS=\"$host ...\"]" >&2
    exit 2
fi

fetch_zig() {
    if [[ -x $tools/bin/cargo-zigbuild ]]; then return; fi
    python3 -m venv "$tools" &&
        "$tools/bin/pip" install --quiet --only-binary :all: --require-hashes \
            --requirement scripts/precompiled.txt
}

# has_std TARGET: the standard library is there, or rustup brings it. Else sets `reason'.
has_std() {
    local lib said
    lib=$(rustc --print sysroot)/lib/rustlib/$1/lib
    if compgen -G "$lib/libstd-*" >/dev/null; then return; fi
    if ! command -v rustup >/dev/null; then
        reason="no standard library, and no rustup that fetches it"
    elif ! said=$(timeout 600 rustup target add "$1" 2>&1); then
        reason="no standard library: $(sed -n 's/^error: *//p' <<<"$said" | head -n 1)"
    else
        return 0
    fi
    return 1
}

# zig has what macOS calls libSystem, and no frameworks. chrono, below openraft, asks one for the
# name of the time zone; the linker needs to know where that is on a Mac, and what it has.
frameworks=$target_dir/frameworks
stub_frameworks() {
    local core=$frameworks/CoreFoundation.framework
    mkdir -p "$core"
    cat >"$core/CoreFoundation.tbd" <<'EOF'
--- !tapi-tbd
tbd-version: 4
targets: [ x86_64-macos, arm64-macos ]
install-name: '/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation'
current-version: 150
compatibility-version: 150
exports:
  - targets: [ x86_64-macos, arm64-macos ]
    symbols: [ _CFRelease, _CFStringGetBytes, _CFStringGetCStringPtr, _CFStringGetLength,
               _CFTimeZoneCopySystem, _CFTimeZoneGetName, _CFTimeZoneResetSystem ]
...
EOF
}

# Paths of this machine do not get into the library. The flags that the environment gives replace
# those of .cargo/config.toml, hence the one for musl.
rust_flags() {    # TARGET
    local flags=("--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
        "--remap-path-prefix=$root=/ram" "--remap-path-prefix=$(rustc --print sysroot)=/rust")
    case $1 in
        *-musl) flags+=(-Ctarget-feature=-crt-static) ;;
        *-apple-darwin)
            flags+=("-Clink-arg=-F$frameworks"
                "-Clink-arg=-Wl,-install_name,@rpath/libram_nif.dylib") ;;
    esac
    (IFS=$'\x1f'; printf %s "${flags[*]}")
}

compile() {    # TARGET
    local name=$1 flags
    if [[ $1 = *-linux-gnu ]]; then name=$1.$glibc; fi
    if [[ $1 = *-apple-darwin ]]; then stub_frameworks; fi
    flags=$(rust_flags "$1")
    env -u RUSTFLAGS PATH="$tools/bin:$PATH" CARGO_ENCODED_RUSTFLAGS="$flags" \
        CARGO_PROFILE_RELEASE_DEBUG=1 CARGO_PROFILE_RELEASE_STRIP=none \
        nice cargo zigbuild --release --locked -p ram_nif --target "$name" \
        --target-dir "$target_dir"
}

# make_target TARGET: false, with the reason in `reason', when it could not be made.
make_target() {
    local built=$target_dir/$1/release/libram_nif.so name=libram_nif-v$version-nif-$nif-$1.so
    if [[ $1 = *-apple-* ]]; then built=${built%.so}.dylib; fi
    rm -f "$out/$name."*
    has_std "$1" || return 1
    compile "$1" || { reason="cargo failed, see above"; return 1; }
    scripts/precompiled_pack.sh "$built" "$out" "$name" ||
        { reason="could not be packed, see above"; return 1; }
    if ! GLIBC_MAX=$glibc scripts/precompiled_verify.sh "$out/$name.tar.gz" "$1"; then
        rm -f "$out/$name."*
        reason="IS NOT AS IT HAS TO BE, see above" wrong=1
        return 1
    fi
}

# Files of other sources have no place beside those of this one in a map.
source_of() {
    git describe --always --dirty --abbrev=40 2>/dev/null || echo "no git"
}
same_source() {
    [[ -f $out/source && $(<"$out/source") = "$(source_of)" && $(source_of) != *-dirty ]]
}

# What native/build.escript takes from the package: where the files are, and what their bytes are.
write_map() {
    local file sum separator=
    {
        printf '#{url => <<"%s">>,\n  version => <<"%s">>,\n  nif => <<"%s">>,\n  checksums =>\n' \
            "${URL%/}" "$version" "$nif"
        printf '      #{'
        for file in "$out"/*.so.tar.gz; do
            sum=$(sha256sum "$file")
            printf '%s<<"%s">> =>\n            <<"sha256:%s">>' \
                "$separator" "${file##*/}" "${sum%% *}"
            separator=$',\n        '
        done
        printf '}}.\n'
    } >"$map.new"
    mv -f "$map.new" "$map"
}

if ! fetch_zig; then
    echo "precompiled: missing: python3 with venv and pip (apt-get install python3-venv)," \
        "or PyPI is not reached" >&2
    exit 1
fi
if ! same_source; then rm -rf "$out"; fi
mkdir -p "$out"
source_of >"$out/source"
rm -f "$map"
wrong=0 reason='' made=() missing=()
for target in "${targets[@]}"; do
    echo "== $target"
    if make_target "$target"; then
        made+=("$target")
    else
        missing+=("$target: $reason")
        if [[ $target = "$host" ]]; then wrong=1; fi
    fi
done
if ((${#made[@]} > 0)); then write_map; fi
echo
for target in "${made[@]}"; do
    printf 'made      %s\n' "$out/libram_nif-v$version-nif-$nif-$target.so.tar.gz"
done
if ((${#missing[@]} > 0)); then printf 'NOT MADE  %s\n' "${missing[@]}"; fi
if ((${#made[@]} > 0)); then
    echo "the map   $map ($(grep -c sha256 "$map") files, from $URL)"
    echo "While the map is there, this tree takes the published file too, and not cargo's library."
fi
exit $wrong
