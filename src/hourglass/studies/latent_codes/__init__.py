"""Analyses of the latent codes: map, features, interpolation and neighbourhoods."""
