"""What scripts/benchmark.py measures: cases, contestants, a process each, and the page of it."""
