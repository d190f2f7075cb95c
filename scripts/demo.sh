#!/usr/bin/env bash
# The demonstration (demo.escript) on nodes, ports and a folder of its own: two may run at once, and
# nothing is left, however it ends. Expects ram to be built.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

folder=$(mktemp -d)
mkdir "$folder/pids"    # a file for each node that was started
demo=

# shellcheck disable=SC2317 # called by the trap
clean() {
    local pid
    trap '' INT TERM
    for pid in $demo $(ls "$folder/pids"); do kill -9 "$pid" 2>/dev/null || true; done
    stop_epmd
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_epmd
escript scripts/demo.escript "$folder" </dev/null &
demo=$!
status=0
wait "$demo" || status=$?
demo=
exit $status
