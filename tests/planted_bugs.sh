#!/usr/bin/env bash
# Shows that the tests can fail: builds them once with the feature `planted-bugs`, shows that they pass while no bug is
# on, then plants one bug after another and shows that the tests named for it fail. Ends with 1 if one is not caught.
#
#     tests/planted_bugs.sh [BUG...]
#
# A row: the bug (src/base/planted.rs), the test binary (`lib`, or a file of tests/), the tests that must catch it.
set -euo pipefail
cd "$(dirname "$0")/.."

table="
skip-sync lib store::tests::crash
publish-before-sync lib store::tests::recover::a_failed_sync_ends_writing_for_good
retry-failed-sync lib store::tests::sweep::any_sync_may_fail
delete-without-sync lib store::tests::sweep::any_sync_may_fail store::tests::recover::a_delete_alone_is_synced
full-is-ok lib store::tests::recover::what_did_not_fit_is_cut
full-at-sync-is-answer lib store::tests::sweep::any_sync_may_fail
cut-at-first-bad-needle lib store::tests::recover journal::plan
cut-without-copy lib store::tests::recover::a_torn_tail_is_copied_aside_and_cut
keep-pages lib store::tests::crash
forget-tombstones lib store::tests::recover::what_was_stored_is_read
skip-range-checksum read_damage sound_blocks_of_a_large_object
reuse-sequence lib store::tests::recover::what_did_not_fit_is_cut
forget-epoch-at-stop lib store::tests::recover::what_was_cut_back_is_remembered
keep-clean-flag lib store::tests::recover::a_clean_stop_keeps_the_epoch
mark-too-early lib store::tests::crash
frame-mark-too-early lib store::tests::crash
skip-directory-sync lib store::tests::crash
name-after-use lib store::tests::crash
manifest-without-sync lib store::tests::crash
overwrite-newest-slot lib store::tests::crash
trust-index lib store::tests::snapshots
drop-tombstone-early lib store::tests::crash store::tests::compaction
swap-before-sync lib store::tests::crash
cut-under-reader lib store::tests::compaction::a_reader_that_has_the_old_file
forget-late-deletes lib store::tests::compaction::what_is_deleted_while_it_is_copied
skip-copy-check lib store::tests::compaction::a_needle_that_does_not_verify
give-reserve-to-objects lib store::tests::full
scrub-skips-index lib store::tests::scrub
forget-replaced lib store::tests::named
collect-unnamed lib store::tests::named io::scrub::collection
collect-by-number lib io::scrub::collection
count-failed-collect lib io::scrub::collection
pass-ahead-of-deletes lib io::scrub::collection::a_pass_that
log-without-sync lib master::engine::tests::crash
keep-hot-names lib master::engine::tests::serving::a_lookup_after_an_answer
make-twice lib master::namespace master::engine::tests::crash
commit-chunk-twice names_content a_commit_takes_only_what_was_put_for_it
commit-foreign-chunk names_content a_commit_takes_only_what_was_put_for_it
forget-old-content names_content content_that_lost_its_name
"
# More than any row takes; a test that hangs is not one that says what is wrong.
limit=600

declare -A program
declare -A sources=([lib]=src/lib.rs)
arguments=(--lib)
for binary in $(awk 'NF && $2 != "lib" { print $2 }' <<<"$table" | sort -u); do
    arguments+=(--test "$binary")
    sources[$binary]=tests/$binary.rs
done
built=$(cargo test --features planted-bugs --no-run --message-format=json "${arguments[@]}")
for binary in "${!sources[@]}"; do
    program[$binary]=$(python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["src_path"].endswith("/" + sys.argv[1]) and message["profile"]["test"]:
        print(message["executable"])
' "${sources[$binary]}" <<<"$built")
    [ -x "${program[$binary]}" ] || { echo "no test program of ${sources[$binary]}" >&2; exit 1; }
done

# run BUG BINARY TESTS...: the exit code of the tests; what they said is in $output.
output=$(mktemp)
trap 'rm -f "$output"' EXIT
run() {
    local bug=$1 binary=$2
    shift 2
    LARDER_PLANTED_BUG=$bug timeout "$limit" "${program[$binary]}" "$@" >"$output" 2>&1
}

if [ $# -eq 0 ]; then
    while read -r binary tests; do
        # shellcheck disable=SC2086 # the tests are words
        run "" "$binary" $tests || { cat "$output"; echo "the tests of $binary fail without a bug" >&2; exit 1; }
    done < <(awk 'NF { for (i = 3; i <= NF; i++) print $2, $i }' <<<"$table" | sort -u |
        awk '{ tests[$1] = tests[$1] " " $2 } END { for (binary in tests) print binary tests[binary] }')
    echo "without a bug all of them pass"
fi

missed=0
printf '%-26s %-64s %s\n' bug "caught by" seconds
while read -r bug binary tests; do
    if [ $# -gt 0 ] && [[ " $* " != *" $bug "* ]]; then
        continue
    fi
    began=$(date +%s)
    code=0
    # shellcheck disable=SC2086 # the tests are words
    run "$bug" "$binary" $tests || code=$?
    # 101 is the exit code of tests that failed; a test that was not found, or that hung, proves nothing.
    if [ $code -eq 101 ]; then
        by=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$output" | sort | head -1)
    else
        by="NOT CAUGHT (exit code $code)"
        missed=1
    fi
    printf '%-26s %-64s %s\n' "$bug" "$by" "$(($(date +%s) - began))"
done < <(awk NF <<<"$table")
exit $missed
