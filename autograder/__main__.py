"""`python -m autograder`: see cli.py."""

import os
import sys


def run() -> None:
    """Runs the command line; what keeps the grader itself from working is told in one line.

    Set AUTOGRADER_DEBUG to see its traceback.
    """
    try:
        from autograder.cli import main

        main()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "autograder":
            raise
        told = f"the package {error.name} is not installed; run `make env`, or `pip install -c constraints.txt -e .`"
    except (RuntimeError, ValueError) as error:
        if os.environ.get("AUTOGRADER_DEBUG"):
            raise
        told = str(error)
    else:
        return
    print(f"autograder: {told}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    run()
