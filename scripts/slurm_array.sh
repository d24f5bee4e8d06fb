#!/usr/bin/env bash
# Train, calibrate, evaluate and study every cell of the grid in params.yaml, each as one task of a
# Slurm job array:
#
#     scripts/slurm_array.sh             # on the login node: prepares the data, then submits itself
#     dvc repro                          # when the array is done: runs what failed, then compares
#
# A task commits its cell to DVC when all of it is done, one task at a time; `dvc repro` then finds
# the cell made. With tasks on several machines let MLFLOW_TRACKING_URI name a server: sqlite is for
# one. `trainer` in params.yaml says what one task uses, as these lines do.
#SBATCH --job-name=hourglass
#SBATCH --cpus-per-task=4
set -euo pipefail
if [[ -f .venv/bin/activate ]]; then source .venv/bin/activate; fi

mapfile -t cells < <(python -c 'import itertools, yaml
grid = yaml.safe_load(open("params.yaml"))
for cell in itertools.product(grid["data"], grid["models"]): print(*cell)')

if [[ -z ${SLURM_ARRAY_TASK_ID:-} ]]; then
    dvc repro prepare cells baselines references
    exec sbatch --array="0-$(( ${#cells[@]} - 1 ))" "$0"
fi

export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
read -r data model <<< "${cells[$SLURM_ARRAY_TASK_ID]}"
stages=(train calibrate-threshold evaluate study)
for stage in "${stages[@]}"; do
    python src/hourglass "$stage" "$data" "$model"
done
flock .dvc/tmp/cells.lock dvc commit --quiet --force "${stages[@]/%/@$data-$model}"
