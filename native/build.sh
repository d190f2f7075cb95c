#!/bin/sh
# Builds the NIF library and puts it into priv/, only when it changed: rebar3 and Mix call this
# before they compile, from any folder.
set -eu
cd "$(dirname "$0")/.."
if ! command -v cargo >/dev/null 2>&1; then
    echo "ram: cargo was not found; install Rust (1.91 or newer) and try again" >&2
    exit 1
fi
cargo build --release --locked -p ram_nif
target=${CARGO_TARGET_DIR:-target}
case "$(uname -s)" in
    Darwin) built="$target/release/libram_nif.dylib" ;;
    *)      built="$target/release/libram_nif.so" ;;
esac
mkdir -p priv
if ! cmp -s "$built" priv/ram_nif.so; then
    # A copy under another name, then a rename: a running VM keeps the file it has mapped.
    cp "$built" "priv/.ram_nif.so.$$"
    mv -f "priv/.ram_nif.so.$$" priv/ram_nif.so
fi
