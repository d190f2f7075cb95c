#!/usr/bin/env bash
# setup.sh demo|bench|test: installs the tools that are missing, as root by apt, or says which to
# install. `demo' stands for what it takes to build and run; `bench' adds mnesia, which ram is
# measured beside; `test' stands for all that the tests and checks take.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
for_what=${1:-test}

rust_min=91    # 1.91
otp_min=25
packages=()    # what apt can install
wish=()        # likewise: what a part of the tests is skipped without
wrong=()       # what it cannot

has() { command -v "$1" >/dev/null 2>&1; }
need() { packages+=("$@"); }

check_rust() {
    local version
    if ! has cc; then need gcc libc6-dev; fi
    if ! has cargo; then
        wrong+=("cargo was not found; install Rust 1.$rust_min or newer, for example by rustup")
        return
    fi
    if ! version=$(cargo --version); then
        wrong+=("cargo does not run: see above")
    elif ! [[ $version =~ ^cargo\ 1\.([0-9]+) ]] || ((BASH_REMATCH[1] < rust_min)); then
        wrong+=("$version is too old; ram needs Rust 1.$rust_min or newer: rustup update stable")
    fi
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
        halt().") || { wrong+=("erl does not run: see above"); return; }
    if (("${answer%% *}" < otp_min)); then
        wrong+=("this is Erlang/OTP ${answer%% *}; ram needs OTP $otp_min or newer")
    fi
    # shellcheck disable=SC2086 # a list of words
    need ${answer#"${answer%% *}"}
}

check_tools() {
    if ! has rebar3; then need rebar3; fi
    if [[ $for_what != test ]]; then return; fi
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
}

# Names all that is missing, and ends.
fail() {
    local what
    for what in "${wrong[@]}"; do echo "setup: $what" >&2; done
    if ((${#packages[@]} > 0)); then
        echo "setup: missing: ${packages[*]}. Install them; on Debian and Ubuntu, as root:
    apt-get update && apt-get install -y --no-install-recommends ${packages[*]} ${wish[*]}" >&2
    fi
    exit 1
}

# apt_get ARGUMENTS: what it says goes to the log.
apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get "$@" -o DPkg::Lock::Timeout=300 >>"$log" 2>&1 </dev/null
}

check_rust
check_otp
check_tools
if ((${#wrong[@]} > 0)); then fail; fi
if ((${#packages[@]} + ${#wish[@]} == 0)); then exit 0; fi
if [[ ${2:-} = again ]]; then
    if ((${#packages[@]} == 0)); then exit 0; fi
    wrong+=("apt installed them, but what comes before it in PATH lacks them: $(command -v erl)")
    fail
fi
if [[ $(id -u) != 0 ]] || ! has apt-get; then
    if ((${#packages[@]} > 0)); then fail; fi
    echo "setup: without Debian's packages ${wish[*]} some of the tests are skipped"
    exit 0
fi

all=("${packages[@]}" "${wish[@]}")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "setup: installing by apt: ${all[*]}"
# Old lists may still do; and what cannot be had says so when it is installed.
apt_get update || echo "setup: apt-get update failed; going on with the package lists of before"
if ((${#packages[@]} > 0)) && ! apt_get install -y --no-install-recommends "${packages[@]}"; then
    tail -n 20 "$log" >&2
    fail
fi
for package in "${wish[@]}"; do
    apt_get install -y --no-install-recommends "$package" ||
        echo "setup: $package could not be installed; the tests that need it are skipped"
done
"$root/scripts/setup.sh" "$for_what" again
