#!/usr/bin/env bash
# Train one cell on a cluster: sbatch scripts/slurm.sh mnist convolutional
# `trainer: slurm` in params.yaml must have the same numbers as these lines.
#SBATCH --job-name=hourglass
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=4
set -euo pipefail
source .venv/bin/activate
srun python src/hourglass train "$1" "$2"
