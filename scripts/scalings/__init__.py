"""Parts of scripts/scaling.py: one training in one or more processes, and what follows from it."""
