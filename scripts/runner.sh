# shellcheck shell=bash
# Sourced by test.sh and soak.sh after env.sh: jobs side by side, what each said in a file of its
# own, and the counts of all. A job that breaks off, or that ran no test, counts as a failure.

# Everything of a run is in a folder of its own, compiled suites too: another one may be under way.
logs=$root/_build/runs/$$
mkdir -p "$root/_build/runs"
is_running() { [[ -d /proc/$1 ]] || ps -p "$1" >/dev/null 2>&1; }
for folder in "$root"/_build/runs/*; do
    # What a run that has ended left there.
    if ! is_running "${folder##*/}"; then rm -rf "$folder" || true; fi
done
rm -rf "$logs"
mkdir "$logs"
export RAM_FIGURES=$logs/figures
: >"$RAM_FIGURES"

# Some wait more than they compute; more than that, and they wait for each other.
jobs_max=${JOBS:-$(($(getconf _NPROCESSORS_ONLN) + 1))}
progress_s=0    # so often it is told what is under way
under_way=() report=()
passed=0 failed=0 skipped=0

# Every job has a process group of its own, which ends as a whole.
set -m
# shellcheck disable=SC2317 # called by the traps
end_jobs() {
    trap '' INT TERM
    local pid
    for pid in $(jobs -p); do kill -- "-$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    stop_epmd
}
trap end_jobs EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start NAME COMMAND...: runs a function or a program as soon as there is room for it.
start() {
    local name=$1
    shift
    wait_until_below "$jobs_max"
    rm -f "$logs/$name.status"
    (
        status=0
        "$@" >"$logs/$name.log" 2>&1 </dev/null || status=$?
        echo "$status $SECONDS" >"$logs/$name.status"
    ) &
    under_way+=("$name=$SECONDS=$!")
}

finish() {
    wait_until_below 1
}

# Not `jobs': epmd is one too.
wait_until_below() {
    local told=$SECONDS name begun
    report_ended
    while ((${#under_way[@]} >= $1)); do
        # Ends when a job does, or after a second.
        sleep 1 &
        wait -n || true
        report_ended
        if ((progress_s > 0 && SECONDS - told >= progress_s && ${#under_way[@]} > 0)); then
            told=$SECONDS
            IFS== read -r name begun _ <<<"${under_way[0]}"
            printf '    %s: %d s\n' "$name" "$((SECONDS - begun))"
        fi
    done
}

report_ended() {
    local one name begun pid alive rest=()
    for one in "${under_way[@]}"; do
        IFS== read -r name begun pid <<<"$one"
        alive=1
        kill -0 "$pid" 2>/dev/null || alive=0
        if [[ ! -s $logs/$name.status ]]; then
            if ((alive)); then
                rest+=("$one")
                continue
            fi
            echo "137 $SECONDS" >"$logs/$name.status"    # killed, as by a system out of memory
        fi
        report_one "$name" "$begun"
    done
    under_way=("${rest[@]}")
}

# report_one NAME BEGUN: a line for who waits; and all that a job said when it failed.
report_one() {
    local name=$1 status ended p=0 f=0 s=0 note=''
    read -r status ended <"$logs/$name.status"
    read -r p f s < <(counts "$logs/$name.log")
    if ((status != 0 && f == 0)); then
        note=" (broke off with status $status)" f=1
    elif ((p + f + s == 0)); then
        note=" (ran no test)" f=1
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if ((f > 0)); then
        cat "$logs/$name.log"
        report+=("FAILED: $name$note: $logs/$name.log" "$(reasons "$logs/$name.log")")
    fi
    printf '%-24s %3d passed, %d failed, %d skipped, %d s%s\n' \
        "$name" "$p" "$f" "$s" "$((ended - $2))" "$note"
    grep -a '^skipped: ' "$logs/$name.log" | sed 's/^/    /' || true
}

# reasons LOG: what failed in it, and why, as far as thirty lines of each say it; the end of a job
# that names nothing.
reasons() {
    awk '/^failed: |^test .* \.\.\. FAILED$|^thread .* panicked at / { left = 30 }
         /^(counts|skipped:|test result:|stack backtrace:) ?/ { left = 0 }
         left-- > 0 { print "    | " substr($0, 1, 300); found = 1 }
         { last[NR % 15] = $0 }
         END { if (!found) for (i = NR + 1; i <= NR + 15; i++)
                   if (last[i % 15] != "") print "    | " substr(last[i % 15], 1, 300) }' "$1"
}

# counts LOG: what all the runners in it have counted. Each binary of Rust's tests ends with
# "test result: ok. 3 passed; 0 failed; 1 ignored; ...", a suite with "counts 3 0 1".
counts() {
    awk '/^test result: / { p += $4; f += $6; s += $8 }
         /^counts [0-9]+ [0-9]+ [0-9]+$/ { p += $2; f += $3; s += $4 }
         END { print p + 0, f + 0, s + 0 }' "$1"
}

# The sums, and whether all is well.
summary() {
    echo
    if ((${#report[@]} > 0)); then printf '%s\n' "${report[@]}"; fi
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0))
}

# Compiles the suites, and the checker that some of them ask.
build_suites() {
    cargo build --release --locked --quiet -p ram_check
    REBAR_BASE_DIR=$logs/build rebar3 ct --compile_only >"$logs/compile.log" 2>&1 </dev/null || {
        cat "$logs/compile.log"
        return 1
    }
}

# suite NAME [CASE...]: one suite in a VM of its own.
suite() {
    local lib=$logs/build/test/lib/ram name=$1 cases
    shift
    cases=$(printf ',%s' "$@")
    mkdir "$logs/$name"
    ERL_CRASH_DUMP_SECONDS=0 erl -noinput -pa "$lib/ebin" "$lib/bench" "$lib/test" \
        -eval "ram_case:main($name, [${cases#,}], \"$logs/$name\", \"$lib/test\")."
}
