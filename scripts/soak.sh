#!/usr/bin/env bash
# soak.sh PARTS: the tests in their long form, one after the other, with the limits that are
# promised; PARTS are words with commas between, or all. What the environment may say:
#     MINUTES  of torture, on each kind of network (5); the fuzzers take their share of it
#     SEED     of the torture and of what is random in the suites; the first of the simulated ones
#     SEEDS    how many clusters are simulated (200)
#     ROUNDS   of what goes round, such as leaders killed
# Ends with a table of the figures and the sums of the tests; with 1 when a limit was missed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
all=(failover overload members sizes properties seeds model torture controls dependency)
IFS=, read -ra parts <<<"${1:-all}"
if [[ ${parts[*]} = all ]]; then parts=("${all[@]}"); fi
minutes=${MINUTES:-5} seed=${SEED:-} seeds=${SEEDS:-200}
for part in "${parts[@]}"; do
    if [[ " ${all[*]} " != *" $part "* ]]; then
        echo "soak: there is no part $part; there are ${all[*]}" >&2
        exit 2
    fi
done
if ! [[ $minutes =~ ^[1-9][0-9]*$ && $seed =~ ^[0-9]*$ && $seeds =~ ^[1-9][0-9]*$ &&
    ${ROUNDS:-1} =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: make soak PARTS=failover,overload MINUTES=5 SEED=7 SEEDS=200 ROUNDS=20" >&2
    exit 2
fi
source "$root/scripts/runner.sh"
jobs_max=1 progress_s=30
export RAM_SOAK=1 RAM_ROUNDS=${ROUNDS:-} CARGO_TERM_COLOR=never
if [[ -n $seed ]]; then export RAM_SEED=$seed; fi

long() { for name in "$@"; do start "$name" suite "$name"; done; }

# whole NAME COMMAND...: something that is one test, whatever it says.
whole() { start "$1" counted "${@:2}"; }
counted() {
    if "$@"; then echo "counts 1 0 0"; else echo "counts 0 1 0"; return 1; fi
}

rust() { cargo test --locked --profile sim "$@"; }

fuzzers() {
    RAM_FUZZ_MS=$((60000 * minutes / 5)) rust --workspace --test fuzz -- --nocapture
}

torture() { scripts/torture.sh "$@"; }

# As in the ordinary tests, a network of its own for each node takes root.
torture_networks() {
    if (($(id -u) == 0)) && command -v nft >/dev/null; then echo links spaces; else echo links; fi
}

part_failover() { long ram_failover_SUITE ram_unauthenticated_SUITE; }
part_overload() { long ram_overload_SUITE; }
part_members() { long ram_member_SUITE ram_churn_SUITE ram_folder_SUITE ram_durability_SUITE; }
part_sizes() {
    long ram_backup_SUITE ram_limits_SUITE ram_values_SUITE
    start "ram_check (sizes)" rust -p ram_check --test size -- --include-ignored
}
part_properties() {
    long ram_key_SUITE ram_value_SUITE ram_model_SUITE ram_select_SUITE ram_SUITE ram_batch_SUITE \
        ram_reads_SUITE ram_timeouts_SUITE
    start "fuzzers" fuzzers
}
part_seeds() {
    start "ram_sim (seeds)" rust -p ram_sim --test seeds -- --include-ignored
    whole "simulated clusters" cargo run --quiet --locked --profile sim -p ram_sim -- \
        --seconds 60 --first "${seed:-1}" --seeds "$seeds"
    printf 'clusters simulated for 60 s\t%s\t\t\n' "$seeds" >>"$RAM_FIGURES"
}
# Minutes, and gigabytes of states.
part_model() { start "ram_model" rust -p ram_model -- --include-ignored; }
part_torture() {
    local net
    for net in $(torture_networks); do
        whole "torture ($net)" torture $((60 * minutes)) "${seed:-$RANDOM}" 3 "$net"
    done
}
# That all this can fail: what is broken on purpose is found.
part_controls() {
    local control fault many=isolate,halves,one_way,kill,asymmetric_partition,relay
    start "ram_sim (controls)" rust -p ram_sim --features sabotage --test sabotage -- --nocapture
    for control in reply_before_commit:all forget_vote:all read_without_index:all \
        apply_retry_twice:all skip_pending_mark:all skip_commit_barrier:all \
        check_after_writing:all count_stale:all mix_revisions:all \
        expire_by_own_clock:all drop_event:all repeat_event:all forget_owner:all \
        forget_end:all end_the_silent:all \
        forget_restart_vote_hold:asymmetric_partition \
        assume_own_vote_hold:$many forget_longest_vote_hold:$many; do
        fault=${control%:*}
        whole "torture ($fault)" torture 120 "${seed:-7}" 3 links "${control#*:}" "$fault"
    done
}
part_dependency() {
    long ram_dependency_SUITE ram_release_SUITE ram_package_SUITE ram_precompiled_SUITE \
        ram_precompiled_build_SUITE
}

# Of a figure that was taken more than once the worst.
worst() {
    awk -F '\t' '
        { key = $1 FS $3; value = $2 + 0; is_new = !(key in line) }
        is_new { order[++count] = key }
        is_new || ($3 ~ /^at least/ ? value < kept[key] : value > kept[key]) {
            kept[key] = value; line[key] = $0
        }
        END { for (n = 1; n <= count; n++) print line[order[n]] }' "$RAM_FIGURES"
}

# Columns as wide as what stands in them.
table() {
    echo
    { printf 'figure\tvalue\tlimit\t\n'; worst; } | awk -F '\t' '
        { for (i = 1; i <= 3; i++) if (length($i) > width[i]) width[i] = length($i)
          line[NR] = $0 }
        END { for (n = 1; n <= NR; n++) {
                  split(line[n], cell, "\t")
                  printf "%-*s  %*s  %-*s  %s\n", width[1], cell[1], width[2], cell[2],
                         width[3], cell[3], cell[4]
              } }'
}

echo "== building"
build_suites
start_epmd
for part in "${parts[@]}"; do
    echo "== $part ($SECONDS s so far; what is said: $logs)"
    "part_$part"
    finish
done
table
summary
