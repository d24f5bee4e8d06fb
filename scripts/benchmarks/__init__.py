"""Parts of scripts/benchmark.py: cases, contestants, measurements, and the page."""
