#!/usr/bin/env bash
# bench.sh ROUNDS SECONDS OUT: ram beside mnesia and ets (bench/ram_bench.erl), so many rounds with
# so many seconds for each measurement. With OUT, a name that ends with .md, what is printed is also
# written there as a page, with the chart beside it. Its nodes, ports and files are its own. Expects
# ram to be built.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
rounds=${1:-3}
seconds=${2:-2}
out=${3:-}
if ! [[ $rounds =~ ^[1-9][0-9]*$ && $seconds =~ ^[1-9][0-9]*$ && $out =~ ^(|.+\.md)$ ]]; then
    echo "usage: make bench ROUNDS=3 SECONDS=2 OUT=docs/performance.md" >&2
    exit 2
fi
# Not under /tmp, which may be in memory: a sync has to reach a disk.
mkdir -p _build
folder=$(mktemp -d "$root/_build/bench.XXXXXX")
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
    test/ram_spaces.erl test/ram_load.erl test/ram_test_epmd.erl test/ram_named.erl \
    test/ram_holder.erl bench/*.erl
erl -noshell -pa "$root/_build/default/lib/ram/ebin" -pa "$folder/ebin" -s ram_bench main \
    -extra "$rounds" "$seconds" "$folder" "$root/_build/bench.svg" "$out" </dev/null &
vm=$!
status=0
wait "$vm" || status=$?
vm=
if ((status == 0)); then echo "chart: _build/bench.svg"; fi
exit $status
