#!/usr/bin/env bash
# Run the queued experiments, JOBS at once, and divide the cores among them: scripts/queue.sh 2
# Queue experiments with `dvc exp run --queue`; `dvc queue status` and `dvc queue logs` show their
# progress. Workers that run already keep their number of threads.
set -euo pipefail
jobs=${1:-2}
cores=$(python -c 'import os
print(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())')
export OMP_NUM_THREADS=$(( cores > jobs ? cores / jobs : 1 ))
exec dvc queue start --jobs "$jobs"
