"""`python -m autograder`: see cli/."""

import os
import sys

# A student's file such as random.py, in the folder where the command runs, must not take the place of a package's.
if sys.path and sys.path[0] in ("", os.getcwd()):
    sys.path.append(sys.path.pop(0) or os.getcwd())

import atexit
import contextlib


def run() -> None:
    """Runs the command line; a fault of the grader or of its set-up is reported in one line.

    `--assignment-dir DIR`, before or after the command, chooses the assignment. Set AUTOGRADER_DEBUG to see tracebacks.
    """
    for stream in (sys.stdout, sys.stderr):
        # Windows' older encodings lack what students print, such as arrows and Greek letters.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        from autograder.model.assignment import choose

        sys.argv[1:] = choose(sys.argv[1:])
        from autograder.cli.main import main

        main()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "autograder":
            raise
        message = (
            f"the package {error.name} is not installed for {sys.executable}; use the Python in .venv, or run `make env` or"
            " `pip install -c constraints.txt -e .`"
        )
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
