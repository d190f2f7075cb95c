#!/usr/bin/env bash
# package.sh [FOLDER]: builds the package as Hex has it, FOLDER/ram-VERSION.tar (_build/package),
# and what it holds beside it, FOLDER/ram. Without tests and the crates that only tests use, with a
# Cargo.lock of the rest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

folder=${1:-$root/_build/package}
mkdir -p "$folder"
rm -rf "$folder/ram" "$folder"/ram-*.tar
escript scripts/package.escript collect "$folder/ram"
# Cargo takes out of the lock what nothing needs any more, and keeps the versions of the rest.
metadata() {
    cargo metadata --quiet --manifest-path "$folder/ram/Cargo.toml" --format-version 1 \
        --filter-platform "$(rustc -vV | sed -n 's/^host: //p')" "$@" >/dev/null
}
metadata
metadata --locked
escript scripts/package.escript pack "$folder/ram" "$folder"
