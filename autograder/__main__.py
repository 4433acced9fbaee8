"""`python -m autograder`: see cli/."""

import atexit
import contextlib
import os
import sys


def run() -> None:
    """Runs the command line; a fault of the grader or of its set-up is reported in one line.

    `--assignment-dir DIR`, before or after the command, chooses the assignment. Set AUTOGRADER_DEBUG to see tracebacks.
    """
    try:
        from autograder.model.assignment import choose

        sys.argv[1:] = choose(sys.argv[1:])
        from autograder.cli.main import main

        main()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "autograder":
            raise
        message = f"the package {error.name} is not installed; run `make env`, or `pip install -c constraints.txt -e .`"
    except (RuntimeError, ValueError) as error:
        if os.environ.get("AUTOGRADER_DEBUG"):
            raise
        message = str(error)
    else:
        return
    print(f"autograder: {message}", file=sys.stderr)
    sys.exit(2)


def end(status: int) -> None:
    """Ends this process without Python's own cleanup, which takes most of a second once PyTorch is loaded."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    try:
        run()
    except SystemExit as done:
        if sys.argv[1:2] == ["check"] and isinstance(done.code, int):
            end(done.code)
        raise
