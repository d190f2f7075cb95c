#!/usr/bin/env bash
# loom.sh [mutants]: the concurrent code of small crates in every order that its threads can take,
# by the model checker loom. With `mutants' also each change of native/*/tests/loom/*.patch, one at
# a time, on a copy of the sources: the test that it names has to fail.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

crates=(ram_threads ram_table ram_lease)
copy=$root/target/loom/mutants

# models CRATE [TEST]: also ends a run that hangs, which a change may make of it.
models() {
    timeout 600 cargo test --quiet --locked -p "$1" --features loom --test loom -- \
        --test-threads 1 ${2:+--exact "$2"}
}

# mutant CRATE PATCH
mutant() {
    local test output
    test=$(sed -n 's/^Caught by //p' "$2")
    rm -rf "$copy/native"
    cp -r "$root/native" "$copy/"
    patch --quiet --directory "$copy" -p1 -F0 <"$2" || return 1
    if ! (cd "$copy" && cargo build --quiet --locked -p "$1" --features loom --test loom); then
        echo "loom: $2 does not compile"
        return 1
    fi
    if output=$(cd "$copy" && models "$1" "$test" 2>&1); then
        echo "loom: ${2##*/} is not caught by $test"
        return 1
    elif ! grep -q "^thread .*panicked" <<<"$output"; then
        printf '%s\nloom: %s made no test fail\n' "$output" "${2##*/}"
        return 1
    fi
    echo "caught: $(head -n 1 "$2") ($test)"
}

for crate in "${crates[@]}"; do models "$crate"; done
if [[ ${1:-} != mutants ]]; then exit 0; fi

mkdir -p "$copy"
cp "$root/Cargo.toml" "$root/Cargo.lock" "$copy/"
export CARGO_TARGET_DIR=$copy/target
count=0 missed=0
for crate in "${crates[@]}"; do
    for patch in "$root/native/$crate"/tests/loom/*.patch; do
        count=$((count + 1))
        mutant "$crate" "$patch" || missed=$((missed + 1))
    done
done
echo "loom: $count changes, $((count - missed)) caught"
((count > 0 && missed == 0))
