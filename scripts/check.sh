#!/usr/bin/env bash
# What is true of the code without running it. Stops at the first that is not.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

step() { printf '== %s\n' "$*"; "$@"; }

# edoc ends well in spite of its warnings.
documentation() {
    local output
    if output=$(rebar3 edoc 2>&1) && ! grep -qi warning <<<"$output"; then return; fi
    printf '%s\n' "$output"
    return 1
}

# Its compiler and that of Erlang, as Mix calls them.
elixir_sources() {
    if ! command -v mix >/dev/null; then
        echo "check: ELIXIR NOT CHECKED: it is not installed"
        return
    fi
    mix format --check-formatted && mix compile --force --warnings-as-errors
}

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --locked -- -D warnings
step cargo test --quiet --locked -p ram_core --test layers
step scripts/deny.sh
step rebar3 as strict compile    # warnings are errors there, in tests and benchmarks too
step rebar3 xref
step rebar3 dialyzer
step elixir_sources
step documentation
echo "check: all is well"
