"""Autoencoder variants, one LightningModule per file, with corruptions, penalties and schedules.

No variant imports another, so a change to its file makes DVC re-run only the cells of that variant.

May import: networks, core.
"""
