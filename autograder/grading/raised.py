"""Reasons for having no answer: what student code raised, or that it did not finish, as a NoAnswer with a hint.

What the sandbox reports about an exception (`kind`, `type`, `message`, `lines`) is untrusted: each text is bounded, made safe to
show, and only ever quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autograder.judging.exceptions import AT_IMPORT, Meaning, explain
from autograder.judging.outcome import NoAnswer
from autograder.model.assignment import assignment
from autograder.model.feedback import Location
from autograder.model.rubric import Question
from autograder.support.text import plain

NOT_PYTHON = (  # how lines begin that are no Python, and what to do about them
    ("%", "Lines that begin with % work only in notebooks: remove this line."),
    ("!", "Lines that begin with ! work only in notebooks: remove this line."),
    ("<<<<<<<", "This is a mark of a Git conflict: keep one version, and delete the three marks."),
    (">>>>>>>", "This is a mark of a Git conflict: keep one version, and delete the three marks."),
    ("=======", "This is a mark of a Git conflict: keep one version, and delete the three marks."),
)


def location(raised: Mapping[str, Any]) -> Location | None:
    """The student's innermost line."""
    lines = raised.get("lines")
    return _place(lines[-1]) if isinstance(lines, list) and lines else None


def _place(line: object) -> Location | None:
    if not isinstance(line, dict):
        return None
    number = line.get("line")
    return Location(
        plain(str(line.get("file", "?")), 80),
        number if isinstance(number, int) else 0,
        plain(str(line.get("code", "")).strip(), 200),
    )


def while_running(raised: Mapping[str, Any]) -> NoAnswer:
    """The reason when a probe raised."""
    kind, type_ = raised.get("kind"), plain(str(raised.get("type", "an exception")), 80)
    message, where = plain(str(raised.get("message", "")).strip()), location(raised)
    if kind == "todo":
        seen = f"not written yet ({message})" if message else "not written yet"
        return NoAnswer("missing", seen, "", own_words=True, todo=message)
    if kind == "missing":
        return NoAnswer("missing", message, "Keep the names that the assignment gives.")
    if kind == "too large":
        return NoAnswer("failed", f"the result is too large to be checked: {message}", "Check its shape.")
    said = message.split(", but expected one of")[0]  # PyTorch lists all forms of a call after it
    quoted = f"{type_}: {said}" if said else type_
    if type_ in ("SystemExit", "KeyboardInterrupt"):
        return NoAnswer(
            "error",
            f"the code asked the interpreter to stop ({quoted})" + ("" if where else " at import"),
            "Remove exit().",
            location=where,
        )
    if kind == "unexpected":
        return NoAnswer(
            "failed",
            f"the result could not be used as asked: {quoted}",
            "Compare what is returned with what is asked.",
            own_words=True,
            meaning=explain(type_, message),
        )
    first, near = _place(raised.get("first")), plain(str(raised.get("near", "")), 80)
    return NoAnswer(
        "failed",
        f"the code raised {quoted}" + (f" (did you mean {near}?)" if near else ""),
        "",
        own_words=True,
        location=where,
        called=plain(str(raised.get("called", "")), 400),
        through=first if first != where else None,
        meaning=explain(type_, message),
    )


def not_text(name: str, fault: str) -> NoAnswer:
    """The reason when Python cannot read a module's file. fault: what it is (see `submissions.modules.text_fault`)."""
    return NoAnswer("error", f"{name} is {fault}, which Python cannot read", "Save it as UTF-8 text.")


def at_import(raised: Mapping[str, Any], question: Question) -> NoAnswer:
    """The reason when the question's module raised while it was imported."""
    name = f"{question.module}.py"
    type_, message = plain(str(raised.get("type", "")), 80), plain(str(raised.get("message", "")).strip())
    where = location(raised)
    if type_ in ("SyntaxError", "IndentationError", "TabError"):
        hint = next(
            (hint for start, hint in NOT_PYTHON if where and where.code.startswith(start)),
            "Fix that line first.",
        )
        return NoAnswer("error", f"{name} is not valid Python: {message}", hint, location=where)
    if type_ in ("SystemExit", "KeyboardInterrupt"):
        return NoAnswer(
            "error",
            f"{name} stops Python while it is imported",
            "Remove exit(), quit() or sys.exit() from this line.",
            location=where,
        )
    if type_ == "ModuleNotFoundError":
        return NoAnswer(
            "error",
            f"{name} could not be imported: {message}",
            "Import only the standard library, torch, numpy and the assignment's modules.",
            location=where,
            meaning=explain(type_, message, AT_IMPORT),
        )
    meaning = explain(type_, message, AT_IMPORT)
    lacking = re.match(r"cannot import name '(?P<what>\w+)' from '(?P<file>\w+)'", message)
    if lacking and lacking["file"] in assignment().rubric.given:
        meaning = Meaning(
            f"{lacking['file']}.py is a given file: checks use the original, which has no {lacking['what']}.",
            f"Put {lacking['what']} into a file of your own.",
        )
    return NoAnswer(
        "error",
        f"{name} could not be imported: {type_}: {message}",
        f'Run `python -c "import {question.module}"` in the folder that holds {name}, and fix what it reports.',
        own_words=True,
        location=where,
        meaning=meaning,
    )


def too_slow(seconds: float, hang: Mapping[str, Any], question: Question, importing: bool) -> NoAnswer:
    """The reason when the code did not finish within `seconds`. hang: what the sandbox reports of the line it was at."""
    if importing:
        hint = (
            "Look for a loop that does not end, or training that runs when the module is imported: put it under"
            " `if __name__ == '__main__':`."
        )
    else:
        hint = (
            "Look for a loop that does not end; the inputs here are tiny, so this takes well under a second."
        )
    seen = f"{running(question, importing)} did not finish within {seconds:.0f} s"
    return NoAnswer("timeout", seen, hint, location=location(hang))


def time_used_up(question: Question) -> NoAnswer:
    """The reason when earlier checks have used all of the question's time."""
    return NoAnswer(
        "timeout",
        f"the question's time ({question.seconds:g} s for all its checks) is used up",
        "Look for loops that do not end, and for work that grows with the data.",
    )


def died(death: Exception, question: Question, importing: bool) -> NoAnswer:
    """The reason when the sandbox's process ended by itself."""
    return NoAnswer(
        "error",
        f"{running(question, importing)} ended the Python process: {death}",
        "Look for exit(), os._exit(), sys.exit(), code that crashes the interpreter, and very large tensors.",
    )


def no_room() -> NoAnswer:
    """The reason when the files that the code has written leave no room on the disk."""
    return NoAnswer("error", "your code has filled the disk with files", "Write fewer or smaller files.")


def unreadable(error: Exception | None = None) -> NoAnswer:
    """The reason when the bytes that the sandbox sent are not a valid answer."""
    seen = "the answer could not be read" + (f": {error}" if error else "")
    return NoAnswer("error", seen, "Return plain tensors and numbers of moderate size.")


def too_large_to_judge() -> NoAnswer:
    """The reason when an answer is larger than any that is asked for, or judging it would need too much memory."""
    return NoAnswer(
        "failed", "your code's answer is too large to judge", "Return values of the sizes that are asked for."
    )


def too_slow_to_judge() -> NoAnswer:
    """The reason when judging an answer takes far longer than judging any that is asked for."""
    return NoAnswer(
        "timeout",
        "your code's answer takes too long to judge",
        "Return values of the sizes that are asked for, and do nothing more often than asked.",
    )


def running(question: Question, importing: bool) -> str:
    return f"importing {question.module}.py" if importing else "your code"
