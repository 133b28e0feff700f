#!/usr/bin/env bash
# Checks a run against limits for the action beside this file: summary page, outputs, exit code of `bench gate`.
# RUN, SLO and UNKNOWN come from the action's inputs; never expanded into a command line by the workflow itself.
set -euo pipefail
bench=${BENCH:-$RUNNER_TEMP/podbench/bin/bench}
comment=$RUNNER_TEMP/podbench-gate.md
options=(--slo "$SLO" --markdown "$comment")
[ -z "${UNKNOWN:-}" ] || options+=(--unknown "$UNKNOWN")
code=0
"$bench" gate "$RUN" "${options[@]}" || code=$?
echo "exit-code=$code" >>"$GITHUB_OUTPUT"
if [ -s "$comment" ]; then
    echo "comment=$comment" >>"$GITHUB_OUTPUT"
    cat "$comment" >>"$GITHUB_STEP_SUMMARY"
fi
exit "$code"
