#!/usr/bin/env bash
# mutants.sh [CRATE ...]: changes the code of a crate in small ways (cargo-mutants), one at a time,
# and expects a test of that crate to fail. Those that no test catches have to be exactly those of
# native/CRATE/mutants.txt, so a new one needs a test or a reason, and a reason that holds no more
# goes. Without a name: all crates that have such a list.
#
# A list has lines of three kinds: `# ' a reason for the mutants below it, `files: ' the files to
# mutate when not all of them (a glob), and mutants as cargo-mutants names them, without the folder.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

if ! cargo mutants --version >/dev/null 2>&1; then
    echo "mutants: missing: cargo install --locked cargo-mutants (takes some minutes)" >&2
    exit 1
fi

# The changes are made on a copy, which keeps what it has built.
tree=$root/target/mutants/tree
copy() {    # CRATE
    mkdir -p "$tree"
    rm -rf "$tree/native"
    cp -r --preserve=timestamps "$root"/{native,Cargo.toml,Cargo.lock} "$tree/"
    # What was built last is of a changed file, which is newer than the file itself.
    find "$tree/native/$1" -name "*.rs" -exec touch {} +
}

# judge CRATE
judge() {
    local crate=$1 folder=native/$1 out=$root/target/mutants/$1 status=0 files=() glob
    while read -r glob; do files+=(--file "$folder/$glob"); done \
        < <(sed -n 's/^files: //p' "$folder/mutants.txt")
    mkdir -p "$out"
    copy "$crate"
    # A change that makes a test run without end counts as caught. 2 and 3: no test caught some, or
    # some ran out of time.
    (cd "$tree" && cargo mutants --in-place --package "$crate" "${files[@]}" --timeout 30 \
        --no-shuffle --colors never --output "$out" -- --lib) || status=$?
    if ((status != 0 && status != 2 && status != 3)); then return 1; fi
    sed -E "s|^$folder/([^:]*):[0-9]+:[0-9]+:|\1:|" "$out/mutants.out/missed.txt" |
        sort >"$out/missed"
    grep -v '^#\|^files: \|^$' "$folder/mutants.txt" | sort >"$out/listed" || true
    if ! diff -u --label "listed in $folder/mutants.txt" --label "not caught" \
        "$out/listed" "$out/missed"; then
        echo "mutants: $crate: lines with + need a test or a reason, those with - are caught"
        return 1
    fi
    echo "mutants: $crate: all caught but the $(wc -l <"$out/missed") that are listed"
}

crates=("$@")
if ((${#crates[@]} == 0)); then
    for list in native/*/mutants.txt; do crates+=("$(basename "$(dirname "$list")")"); done
fi
status=0
for crate in "${crates[@]}"; do judge "$crate" || status=1; done
exit $status
