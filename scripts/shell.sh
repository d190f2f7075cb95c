#!/usr/bin/env bash
# shell.sh NAME: an Erlang shell on the node NAME@127.0.0.1 with ram started, data under ram_data.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
if [[ ! ${1:-} =~ ^[a-z][a-z0-9_]*$ ]]; then
    echo "usage: make shell NAME=ram1 (a name of small letters, digits and _)" >&2
    exit 1
fi
exec erl -name "$1@127.0.0.1" -setcookie ram -pa _build/default/lib/ram/ebin -s ram
