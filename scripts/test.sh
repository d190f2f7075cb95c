#!/usr/bin/env bash
# All tests in their short form, one more at a time than there are processors (JOBS=1 for one). Ends
# with the sums:
#     N passed, N failed, N skipped
# With words, as ram_key or elixir, only these suites. What each said is kept under _build/runs
# until the next run.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
source "$root/scripts/runner.sh"

# Many of the core's tests wait for time limits, so more of them than processors run at once; those
# that compute give way to the suites. The simulator is as slow as its profile.
rust_tests() {
    RUST_TEST_THREADS=4 nice -n 10 cargo test --workspace --exclude ram_sim --locked --no-fail-fast
}
simulator_tests() {
    nice -n 10 cargo test --profile sim -p ram_sim --locked --no-fail-fast
}

# Every order of the threads on the table's locks and the leases.
thread_models() {
    nice -n 10 scripts/loom.sh
}

# test/elixir, and the examples in the documentation of lib/.
elixir_tests() {
    if command -v mix >/dev/null; then MIX_ENV=test mix test; return; fi
    printf 'skipped: all: Elixir is not installed\ncounts 0 0 1\n'
}

# Those that take longest come first, so that none is left alone at the end.
suites() {
    local first=(ram_backup ram_precompiled ram_release ram_member ram_values ram_torture
        ram_overload ram_limits ram_boot ram_folder ram_durability)
    { printf '%s\n' "${first[@]}"; cd test; printf '%s\n' *_SUITE.erl; } |
        sed 's/_SUITE\.erl$//' | awk '!seen[$0]++'
}

rust_builds() {
    local crate
    cargo test --workspace --exclude ram_sim --locked --no-run --quiet || true
    cargo test --profile sim -p ram_sim --locked --no-run --quiet || true
    for crate in ram_threads ram_table ram_lease; do
        cargo test --quiet --locked -p $crate --features loom --test loom --no-run || true
    done
}

export CARGO_TERM_COLOR=never
chosen=("$@")
echo "== building the tests"
# What does not compile fails in its turn, and the rest runs all the same.
if ((${#chosen[@]} == 0)); then rust_builds; fi
build_suites || true
start_epmd
echo "== running them; what each says: $logs"
begun=$SECONDS
if ((${#chosen[@]} == 0)); then
    start "Rust" rust_tests
    start "simulator" simulator_tests
    start "thread models" thread_models
    start "Elixir" elixir_tests
    mapfile -t chosen < <(suites)
fi
for suite in "${chosen[@]}"; do
    case $suite in
        elixir) start "Elixir" elixir_tests ;;
        *) start "${suite}_SUITE" suite "${suite}_SUITE" ;;
    esac
done
finish
echo "all tests: $((SECONDS - begun)) s"
summary
