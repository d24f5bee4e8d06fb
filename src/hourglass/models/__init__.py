"""The variants, one LightningModule per file, with corruptions, penalties and schedules.

A variant imports no other variant, so a change to its file re-runs its own cells and no others.

May import: networks, core.
"""
