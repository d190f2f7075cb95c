#!/usr/bin/env bash
# matrix.sh "OTP..." WHAT: the commands of this project on each OTP, in a Debian that has it
# (otp-root.sh). WHAT are words with commas between:
#     demo, test, check   these of the Makefile
#     vm                  the suites of what depends on the VM and on Elixir
#     versions            nodes of all these OTPs at once, in one cluster (test/ram_versions_SUITE)
# Prints a table, a line as soon as a command has ended; what it said is in _build/matrix. Ends with
# 77, and says why, where nothing can be run.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
read -ra otps <<<"${1:-25 27 29}"
IFS=, read -ra words <<<"${2:-demo,test,check,versions}"
vm_suites=(ram_key ram_value ram_values ram_select ram_atoms ram_names ram_explain ram_doc
    ram_dependency ram_release elixir)
logs=$root/_build/matrix
failures=()
passed=0 failed=0 skipped=0

for word in "${words[@]}"; do
    if ! [[ $word =~ ^(demo|test|check|vm|versions)$ ]]; then
        echo "matrix: there is no $word; there are demo, test, check, vm and versions" >&2
        exit 2
    fi
done

# command_of WORD: what it is in the root.
command_of() {
    case $1 in
        vm) echo "scripts/setup.sh test && scripts/test.sh ${vm_suites[*]}" ;;
        *) echo "make $1" ;;
    esac
}

row() { printf '%-9s %-8s %-9s %6s %6s %7s %7s\n' "$@"; }

# measured OTP ELIXIR WORD COMMAND...: runs it, and prints its line of the table.
measured() {
    local otp=$1 elixir=$2 word=$3 log=$logs/otp$1-$3.log begun=$SECONDS status=0 p f s
    shift 3
    "$@" >"$log" 2>&1 </dev/null || status=$?
    read -r p f s < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' \
        "$log" | tail -n 1) || true
    if [[ -z ${p:-} ]]; then p=$((status == 0)) f=$((status != 0)) s=0; fi
    if ((status != 0 && f == 0)); then f=1; fi
    if ((f > 0)); then failures+=("$log"); fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    row "$otp" "$elixir" "$word" "$p" "$f" "$s" "$((SECONDS - begun))"
}

in_root() { scripts/otp-root.sh run "$@"; }

# The OTP has to be the one that it is taken for: Debian's testing goes on.
prepare() {
    local otp=$1 log=$logs/otp$1-setup.log found
    scripts/otp-root.sh make "$otp" || return
    if ! in_root "$otp" apt-get update >"$log" 2>&1 </dev/null; then
        tail -n 5 "$log" >&2
        echo "matrix: the mirror of Debian is not reached from the root of OTP $otp" >&2
        return 77
    fi
    if ! in_root "$otp" scripts/setup.sh check >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        # What a mirror does not give, or not whole, is no fault of this project.
        if grep -qE '^E: (Failed to fetch|Unable to (fetch|correct problems))' "$log"; then
            return 77
        fi
        return 1
    fi
    found=$(in_root "$otp" erl -noinput -eval \
        'io:put_chars(erlang:system_info(otp_release)), halt().' </dev/null)
    if [[ $found != "$otp" ]]; then
        echo "matrix: the Debian that should have OTP $otp has OTP $found" >&2
        return 77
    fi
}

elixir_of() {
    in_root "$1" elixir --version </dev/null 2>/dev/null | sed -n 's/^Elixir \([^ ]*\).*/\1/p'
}

# What the suite finds in each root: compiled there.
versions() {
    local otp
    for otp in "${otps[@]}"; do
        in_root "$otp" env REBAR_BASE_DIR="$root/_build/versions" rebar3 ct --compile_only
    done
    RAM_VERSIONS=${otps[*]} scripts/test.sh ram_versions
}

mkdir -p "$logs"
ready=() worst=0
for otp in "${otps[@]}"; do
    status=0
    prepare "$otp" || status=$?
    case $status in
        0) ready+=("$otp") ;;
        77) if ((worst == 0)); then worst=77; fi ;;
        *) worst=1 ;;
    esac
done
if ((${#ready[@]} == 0)); then exit $worst; fi
otps=("${ready[@]}")
row OTP Elixir command passed failed skipped seconds
for otp in "${otps[@]}"; do
    elixir=$(elixir_of "$otp")
    for word in "${words[@]}"; do
        if [[ $word = versions ]]; then continue; fi
        measured "$otp" "${elixir:--}" "$word" in_root "$otp" bash -c "$(command_of "$word")"
    done
done
if [[ " ${words[*]} " = *" versions "* ]]; then
    measured "$(tr ' ' , <<<"${otps[*]}")" - versions versions
fi
for log in "${failures[@]}"; do
    printf '\n== %s ends with\n' "$log"
    # Set apart from the counts of this script.
    tail -n 30 "$log" | sed 's/^/    /'
done
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
if ((failed > 0)); then exit 1; fi
# Of some nothing was run, and it was said why.
exit $worst
