#!/usr/bin/env bash
# sanitize.sh core|nif: tests under AddressSanitizer, by the nightly compiler of rustup.
#   core: the unit tests of the crates below Raft.
#   nif: the library in a VM that takes all its memory from malloc, so that what the library asks
#        the VM for is looked at too, and the suites of keys and values in it.
# ThreadSanitizer is not here: it takes a standard library that is built with it, from the sources
# of the same nightly compiler (rustup component add rust-src).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

triple=$(rustc -vV | sed -n 's/^host: //p')
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "sanitize: missing: rustup toolchain install nightly" >&2
    exit 1
fi
export RUSTFLAGS=-Zsanitizer=address ASAN_OPTIONS=detect_leaks=0:abort_on_error=1
export CARGO_PROFILE_DEV_DEBUG=line-tables-only
cargo=(cargo +nightly)
flags=(--locked --target "$triple" --target-dir "$root/target/asan")

core() {
    "${cargo[@]}" test "${flags[@]}" --lib \
        -p ram_threads -p ram_table -p ram_lease -p ram_log -p ram_net -p ram_store
}

# What ends a VM under the sanitizer ends the run: a suite that breaks off has failed.
nif() {
    local lib=$root/target/asan/lib/ram
    "${cargo[@]}" build "${flags[@]}" -p ram_nif
    rm -rf "$lib"
    mkdir -p "$lib"/{ebin,priv,logs}
    cp "$root/target/asan/$triple/debug/libram_nif.so" "$lib/priv/ram_nif.so"
    cp erlang/ram.app.src "$lib/ebin/ram.app"
    erlc +nowarn_export_all -o "$lib/ebin" erlang/*.erl test/*.erl
    trap stop_epmd EXIT
    start_epmd
    suite ram_key_SUITE
    # Not those that measure memory or time.
    suite ram_values_SUITE any_value_is_read_back_identically_on_every_node_in_every_way \
        what_is_made_at_once_and_what_is_left_to_the_caller \
        bytes_that_are_no_value_are_kept_and_refused_to_readers \
        a_value_of_a_newer_otp_is_kept_for_those_who_can_read_it
}

# suite SUITE [CASE ...]: +Mea min has every allocator of the VM be malloc.
suite() {
    LD_PRELOAD=$(cc -print-file-name=libasan.so) ERL_FLAGS="+Mea min" \
        ct_run -noshell -no_auto_compile -pa "$lib/ebin" -dir "$lib/ebin" -logdir "$lib/logs" \
        -suite "$1" ${2:+-case "${@:2}"}
}

case ${1:-} in
    core) core ;;
    nif) nif ;;
    *) core && nif ;;
esac
