#!/usr/bin/env bash
# setup.sh demo|bench|test: installs the tools that are missing, as root by apt, or says which to
# install. `demo' stands for what it takes to build and run; `bench' adds mnesia, which ram is
# measured beside; `test' stands for all that the tests and checks take.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
for_what=${1:-test}

rust_min=91    # 1.91
otp_min=25
packages=()

has() { command -v "$1" >/dev/null 2>&1; }
need() { packages+=("$@"); }
fail() { echo "setup: $1" >&2; exit 1; }

check_rust() {
    local version
    has cargo || fail "cargo was not found; install Rust 1.$rust_min or newer, for example by rustup"
    version=$(cargo --version) || fail "cargo does not run: see above"
    if ! [[ $version =~ ^cargo\ 1\.([0-9]+) ]] || ((BASH_REMATCH[1] < rust_min)); then
        fail "$version is too old; ram needs Rust 1.$rust_min or newer: rustup update stable"
    fi
    if ! has cc; then need gcc libc6-dev; fi
}

# Debian splits OTP into packages: a module of each, and a header of erlang-dev.
check_otp() {
    local modules="[{crypto,crypto}]" answer
    if [[ $for_what = test ]]; then
        modules="[{crypto,crypto},{'common-test',ct},{dialyzer,dialyzer},{tools,xref},
                  {eunit,eunit},{proper,proper}]"
    elif [[ $for_what = bench ]]; then
        modules="[{crypto,crypto},{mnesia,mnesia}]"
    fi
    if ! has erl || ! has erlc; then
        need erlang-base erlang-dev erlang-crypto
        if [[ $for_what = test ]]; then
            need erlang-common-test erlang-dialyzer erlang-tools erlang-eunit erlang-proper
        elif [[ $for_what = bench ]]; then
            need erlang-mnesia
        fi
        return
    fi
    answer=$(erl -noinput -boot start_clean -eval "
        Header = filename:join([code:root_dir(), usr, include, \"erl_nif.h\"]),
        io:put_chars([erlang:system_info(otp_release)]),
        [io:format(\" erlang-~s\", [P]) || {P, M} <- $modules, code:which(M) =:= non_existing],
        [io:put_chars(\" erlang-dev\") || not filelib:is_file(Header)],
        halt().") || fail "erl does not run: see above"
    (("${answer%% *}" >= otp_min)) ||
        fail "this is Erlang/OTP ${answer%% *}; ram needs OTP $otp_min or newer"
    # shellcheck disable=SC2086 # a list of words
    need ${answer#"${answer%% *}"}
}

check_rust
check_otp
if ! has rebar3; then need rebar3; fi
wish=()    # what a part of the tests is skipped without
if [[ $for_what = test ]]; then
    if ! has git; then need git; fi
    if ! has elixir || ! has mix; then wish+=(elixir); fi
    # Networks of their own for nodes, and wall clocks that jump; only Linux has them.
    if [[ $(uname -s) = Linux ]]; then
        if ! has ip; then wish+=(iproute2); fi
        if ! has nft; then wish+=(nftables); fi
        if ! compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null; then
            wish+=(faketime)
        fi
    fi
fi

all=("${packages[@]}" "${wish[@]}")
if ((${#all[@]} == 0)); then exit 0; fi
if [[ ${2:-} = again ]]; then
    fail "apt installed ${all[*]}, but the ones in PATH before them lack them: $(command -v erl)"
fi

if [[ $(id -u) != 0 ]] || ! has apt-get; then
    if ((${#packages[@]} == 0)); then
        echo "setup: without Debian's packages ${wish[*]} some of the tests are skipped"
        exit 0
    fi
    fail "missing: ${packages[*]}. Install them; on Debian and Ubuntu, as root:
    apt-get update && apt-get install -y --no-install-recommends ${all[*]}"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
echo "setup: installing by apt: ${all[*]}"
{
    apt-get update &&
        apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${all[@]}"
} >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; fail "apt-get failed: see above"; }
"$root/scripts/setup.sh" "$for_what" again
