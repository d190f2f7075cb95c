#!/usr/bin/env bash
# What a table of many entries costs: bench/ram_bench_size.erl, with so many entries as the first
# argument says. Its nodes, ports and files are its own, and nothing but the plot is left. Expects
# ram to be built.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
entries=${1:-1000000}
folder=$(mktemp -d)
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
erlc -o "$folder/ebin" test/ram_peers.erl test/ram_links.erl test/ram_wire.erl \
    test/ram_spaces.erl test/ram_load.erl test/ram_test_epmd.erl bench/*.erl
erl -noshell -pa "$root/_build/default/lib/ram/ebin" -pa "$folder/ebin" \
    -s ram_bench_size main -extra "$entries" "$folder" "$root/_build/bench-size.svg" </dev/null &
vm=$!
status=0
wait "$vm" || status=$?
vm=
if ((status == 0)); then echo "plot of the fill rate: _build/bench-size.svg"; fi
exit $status
