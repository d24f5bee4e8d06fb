"""What goes wrong on purpose: one file a kind of fault, each gives rows of docs/reliability.md."""
