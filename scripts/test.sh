#!/usr/bin/env bash
# Runs all tests and counts them. Ends with a line for each runner and one with the sums:
#     N passed, N failed, N skipped
# A runner that breaks off, or that ran no test at all, counts as a failure.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

output=$(mktemp)
trap 'stop_epmd; rm -f "$output"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
passed=0 failed=0 skipped=0
report=()

# count NAME STATUS PASSED FAILED SKIPPED
count() {
    local note='' failures=$4
    if (($3 + $4 == 0)); then
        note=" (ran no test)" failures=1
    elif (($2 != 0 && $4 == 0)); then
        note=" (broke off with status $2)" failures=1
    fi
    passed=$((passed + $3)) failed=$((failed + failures)) skipped=$((skipped + $5))
    report+=("$1: $3 passed, $failures failed, $5 skipped$note")
}

# Every test binary ends with "test result: ok. 3 passed; 0 failed; 1 ignored; ...".
rust_tests() {
    local status=0
    echo "== Rust"
    CARGO_TERM_COLOR=never cargo test --workspace --locked --no-fail-fast 2>&1 |
        tee "$output" || status=$?
    # shellcheck disable=SC2046 # three numbers
    count Rust "$status" $(awk '/^test result: / { p += $4; f += $6; s += $8 }
                                END { print p + 0, f + 0, s + 0 }' "$output")
}

# Every run leaves a file with {summary,{Passed,Failed,Skipped,SkippedForFailure}}.
common_test() {
    local status=0 logs=_build/test/logs
    echo "== Common Test"
    rm -rf "$logs"
    # It judges the torture run.
    cargo build --release --locked -p ram_check || status=$?
    start_epmd
    rebar3 ct --logdir "$logs" </dev/null || status=$?
    # shellcheck disable=SC2046 # three numbers
    count "Common Test" "$status" $(
        find "$logs" -name suite.summary -exec cat {} + 2>/dev/null |
            awk -F '[^0-9]+' '/summary/ { p += $2; f += $3 + $5; s += $4 }
                              END { print p + 0, f + 0, s + 0 }')
}

rust_tests
common_test
echo
printf '%s\n' "${report[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
