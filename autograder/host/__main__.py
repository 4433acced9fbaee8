"""`python -m autograder.host [ROOT]`: see harness.py."""

import sys
from pathlib import Path

from autograder.host.harness import main

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "/autograder")))
