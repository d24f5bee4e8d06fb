"""Generation of samples from random codes, and comparison with real samples."""
