"""Run the command line with `python -m pbft.cli`."""

import sys

from pbft.cli import main

if __name__ == "__main__":
    sys.exit(main())
