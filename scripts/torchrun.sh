#!/usr/bin/env bash
# Train one cell in N processes of this machine: scripts/torchrun.sh 4 mnist convolutional
# `trainer` in params.yaml must have the same number of devices.
set -euo pipefail
exec torchrun --standalone --nproc-per-node "$1" src/hourglass train "$2" "$3"
