"""Applications of latent codes: features, maps, generation, restoration, search, label errors.

May import: evaluation, detection, training, models, networks, data, core.
"""
