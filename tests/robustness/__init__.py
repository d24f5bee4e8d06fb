"""Fault injection: kills, full disks, concurrent commands, servers that stop, damaged input.

`python scripts/chaos.py` runs all of it and writes docs/benchmarks/reliability.md; the tests run a
few tries.
"""
