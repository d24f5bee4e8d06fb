#!/usr/bin/env bash
# Train, calibrate, evaluate and study every cell of the grid in params.yaml, one Slurm array task
# per cell:
#
#     scripts/slurm_array.sh             # on the login node: prepares the data, then submits itself
#     dvc repro                          # after the array: runs failed cells, then compares
#
# A finished task commits its cell to DVC, one task at a time, so that `dvc repro` does not run it
# again. If tasks run on several machines, MLFLOW_TRACKING_URI must name a server: sqlite supports one
# machine only. `trainer` in params.yaml must match the resources in these lines.
#SBATCH --job-name=hourglass
#SBATCH --cpus-per-task=4
set -euo pipefail
if [[ -f .venv/bin/activate ]]; then source .venv/bin/activate; fi

mapfile -t cells < <(python -c 'import itertools, yaml
grid = yaml.safe_load(open("params.yaml"))
for cell in itertools.product(grid["data"], grid["models"]): print(*cell)')

if [[ -z ${SLURM_ARRAY_TASK_ID:-} ]]; then
    dvc repro prepare snapshot baselines references
    exec sbatch --array="0-$(( ${#cells[@]} - 1 ))" "$0"
fi

export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
read -r data model <<< "${cells[$SLURM_ARRAY_TASK_ID]}"
stages=(train calibrate-threshold evaluate study)
for stage in "${stages[@]}"; do
    python src/hourglass "$stage" "$data" "$model"
done
flock .dvc/tmp/cells.lock dvc commit --quiet --force "${stages[@]/%/@$data-$model}"
