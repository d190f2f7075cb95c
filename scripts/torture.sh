#!/usr/bin/env bash
# torture.sh SECONDS SEED NODES NET FAULTS SABOTAGE: a cluster under faults (test/ram_torture.erl)
# and the check of what its clients saw. Its nodes, ports and files are its own; of a run that
# failed the histories and the checker's report are kept, under _build/torture. Expects ram to be
# built.
#
# With SABOTAGE the nodes run a library of their own with that fault built in and armed; the run
# passes when the fault is caught. Neither library nor fault ever comes near the ordinary priv.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
seconds=${1:-60}
seed=${2:-$((RANDOM * 32768 + RANDOM))}
nodes=${3:-3}
net=${4:-links}
faults=${5:-all}
sabotage=${6:-}
if ! [[ $seconds =~ ^[1-9][0-9]*$ && $seed =~ ^[0-9]+$ && $nodes =~ ^[35]$ &&
    $net =~ ^(links|spaces)$ && $faults =~ ^[a-z_,]+$ && $sabotage =~ ^[a-z_]*$ ]]; then
    echo "usage: make torture SECONDS=60 SEED=7 NODES=3|5 NET=links|spaces FAULTS=kind,..." \
        "SABOTAGE=fault" >&2
    exit 2
fi

# With the limits that are promised: see test/ram_case.erl.
export RAM_SOAK=1
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
cargo build --release --locked -p ram_check --quiet
export RAM_CHECK=$target/release/ram-check

application=$root/_build/default/lib/ram
if [[ -n $sabotage ]]; then
    if ! grep -qF "\"$sabotage\"" native/ram_sabotage/src/lib.rs; then
        echo "torture: there is no fault $sabotage (ram_sabotage/src/lib.rs names them)" >&2
        exit 2
    fi
    CARGO_TARGET_DIR=$target/sabotage cargo build --release --locked -p ram_nif \
        --features sabotage --quiet
    mkdir -p _build/sabotage/ram/priv
    cp -RL "$application/ebin" _build/sabotage/ram/
    cp "$target/sabotage/release/libram_nif.so" _build/sabotage/ram/priv/ram_nif.so
    application=$root/_build/sabotage/ram
    export RAM_SABOTAGE=$sabotage
fi
folder=$(mktemp -d)
histories=$root/_build/torture/seed-$seed-$$
vm=

# shellcheck disable=SC2317 # called by the trap
clean() {
    trap '' INT TERM
    # Its nodes end with it.
    if [[ -n $vm ]]; then kill "$vm" 2>/dev/null || true; fi
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir "$folder/ebin"
erlc -pa "$folder/ebin" -o "$folder/ebin" test/ram_peers.erl test/ram_links.erl test/ram_wire.erl \
    test/ram_spaces.erl test/ram_load.erl test/ram_test_epmd.erl test/ram_nemesis.erl \
    test/ram_torture.erl test/ram_torture_client.erl test/ram_torture_tables.erl \
    test/ram_torture_expiring.erl test/ram_torture_watched.erl test/ram_torture_receiver.erl \
    test/ram_torture_owning.erl test/ram_torture_naming.erl \
    test/ram_figure.erl test/ram_case.erl
echo "torture: $seconds s, seed $seed"
erl -noshell -pa "$application/ebin" -pa "$folder/ebin" -s ram_torture main \
    -extra "$seconds" "$seed" "$nodes" "$net" "$faults" "$histories" "$folder" \
    ${sabotage:+"$sabotage"} </dev/null &
vm=$!
status=0
wait "$vm" || status=$?
vm=
if ((status == 0)); then
    rm -rf "$histories"
    echo "torture: passed"
else
    echo "torture: FAILED with status $status; histories, logs and report: $histories"
fi
exit $status
