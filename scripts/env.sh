# shellcheck shell=bash
# Sourced by the scripts: works from any folder, with any HOME, and starts a private epmd.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1

# erl, rebar3 and cargo want a HOME that can be written; containers and services may have none.
home=${HOME:-$(getent passwd "$(id -u)" 2>/dev/null | cut -d: -f6 || true)}
if [[ -z $home || ! -w $home ]]; then
    if [[ -n $home && -d $home/.rustup ]]; then export RUSTUP_HOME=${RUSTUP_HOME:-$home/.rustup}; fi
    if [[ -d $home/.cargo/bin ]]; then PATH=$PATH:$home/.cargo/bin; fi
    home=$root/_build/home
    mkdir -p "$home"
fi
export HOME=$home
if [[ -d $HOME/.cargo/bin ]]; then PATH=$PATH:$HOME/.cargo/bin; fi
PATH=$PATH:/usr/sbin:/sbin    # ip and nft

# epmd, the name server of Erlang nodes, is a daemon that outlives who started it. With one of our
# own, on a port of its own, runs do not meet and nothing is left behind. Sets `epmd_pid'.
epmd_pid=
start_epmd() {
    export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT
    for _ in {1..20}; do
        ERL_EPMD_PORT=$((20000 + RANDOM % 12000))
        epmd </dev/null >/dev/null 2>&1 &
        epmd_pid=$!
        while kill -0 "$epmd_pid" 2>/dev/null; do
            if epmd -names >/dev/null 2>&1; then return; fi
            sleep 0.05
        done
        wait "$epmd_pid" || true    # the port was taken
    done
    echo "epmd, the name server of Erlang nodes, does not start" >&2
    return 1
}

stop_epmd() {
    if [[ -n $epmd_pid ]]; then kill "$epmd_pid" 2>/dev/null || true; fi
}
