#!/usr/bin/env bash
# bench-parts.sh ROUNDS [PART...]: what each part of the fast path brings. A patch in bench/parts
# leaves one part out; the library is built with it and without, and the two take turns in VMs of
# their own (see bench/ram_bench_parts.erl). Builds are without LTO, in a minute for each; LTO=fat
# builds what is shipped. Expects ram to be built.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
rounds=${1:-100}
shift || true
lto=${LTO:-off}
if [[ $lto = off ]]; then units=16; else units=1; fi
work=$root/_build/parts
source_dir=$work/source
rm -rf "$source_dir" "$work/app"
mkdir -p "$source_dir" "$work/app" "$work/bench"
tar c Cargo.toml Cargo.lock native | tar x -C "$source_dir"
erlc -o "$work/bench" bench/*.erl

build() {
    (cd "$source_dir" && CARGO_TARGET_DIR=$work/target cargo build --quiet --release --locked \
        -p ram_nif --config "profile.release.lto=\"$lto\"" \
        --config "profile.release.codegen-units=$units")
    mkdir -p "$work/app/$1/ram/priv"
    cp -r "$root/_build/default/lib/ram/ebin" "$work/app/$1/ram/"
    cp "$work/target/release/libram_nif.so" "$work/app/$1/ram/priv/ram_nif.so"
}

build whole
if [[ $# -eq 0 ]]; then
    for patch in bench/parts/*.patch; do set -- "$@" "$(basename "$patch" .patch)"; done
fi
for part in "$@"; do
    patch --silent -d "$source_dir" -p1 <"bench/parts/$part.patch"
    build "$part" 2>&1 | { grep -v '^warning: unused' || true; }
    patch --silent -R -d "$source_dir" -p1 <"bench/parts/$part.patch"
    echo "without $part:"
    erl -noshell -pa "$work/bench" -s ram_bench_parts main \
        -extra "$rounds" "$work/bench" "$work/app/whole/ram/ebin" "$work/app/$part/ram/ebin" \
        </dev/null
done
