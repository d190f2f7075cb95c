#!/usr/bin/env bash
# bench-local.sh ROUNDS SECONDS: reads by lease beside ets, in one VM (see
# bench/ram_bench_local.erl). Expects ram to be built.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$folder/ebin"
erlc -o "$folder/ebin" bench/*.erl
erl -noshell -pa "$root/_build/default/lib/ram/ebin" -pa "$folder/ebin" -s ram_bench_local main \
    -extra "${1:-5}" "${2:-1}" "$folder/data" </dev/null
