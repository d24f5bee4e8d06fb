"""Hourglass: train, calibrate, evaluate, tune and compare every autoencoder on equal terms."""
