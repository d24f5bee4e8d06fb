"""Command line of the fuzz tests."""

import argparse
import sys

import pandas as pd

from tests.robustness import fuzz


def main() -> None:
    """Print the table; exit with status 1 if a case ended in a traceback or a wrong answer."""
    parser = argparse.ArgumentParser(
        description=fuzz.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="a kind of input, by its name in the table")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    rows = fuzz.run_cases(**vars(parser.parse_args()))
    print(pd.DataFrame(rows).to_markdown(index=False))
    sys.exit(any(row["tracebacks"] + row["wrong"] for row in rows))


if __name__ == "__main__":
    main()
