#!/usr/bin/env bash
# Compiles ram, its library included; quiet unless something is compiled or wrong.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
rebar3 compile
