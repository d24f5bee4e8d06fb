"""Hourglass: train, calibrate, evaluate, tune and compare autoencoders on equal terms."""
