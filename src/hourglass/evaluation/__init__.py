"""What `evaluate` writes: tables and pictures of one detector on the test split."""
