"""Classifiers on latent codes, for `hourglass classify`, and a reference classifier of images."""
