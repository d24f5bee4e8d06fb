"""Images out of corrupted ones: what networks make of them, and what is done without."""
