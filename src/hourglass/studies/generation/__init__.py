"""Generation of samples from drawn codes, and comparison with real samples."""
