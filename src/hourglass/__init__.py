"""Hourglass: train, calibrate, evaluate, tune and compare autoencoders on equal terms."""

from hourglass.core.openblas import select_kernels

select_kernels()
