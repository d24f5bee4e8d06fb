"""Training: the Trainer, callbacks, checkpoints and accelerated training steps.

May import: models, networks, data, core.
"""
