"""A trained network with all that makes a detector of it: scores, threshold, attribution."""
