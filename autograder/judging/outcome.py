"""How a check ends when it does not pass: with a fault in an answer, or without an answer."""

from __future__ import annotations

from autograder.judging.catalogue import Mistake
from autograder.judging.exceptions import Meaning
from autograder.model.feedback import Location
from autograder.model.verdicts import Status


class Fault(AssertionError):
    """A wrong answer: what was expected and seen, the recognised mistake (its id and sentence, or None), what to try.

    form: whether the answer has another shape, length or kind than was asked, whatever its values.
    """

    def __init__(
        self,
        *,
        expected: str,
        seen: str,
        hint: str = "",
        mistake: Mistake | None = None,
        form: bool = False,
    ) -> None:
        super().__init__(f"expected {expected}; seen {seen}")
        self.expected = expected
        self.form = form
        self.seen = seen
        self.mistake = mistake.id if mistake else None
        self.diagnosis = mistake.sentence if mistake else None
        self.once = mistake is not None and mistake.once
        self.hint = (mistake.hint if mistake else "") or hint


class NoAnswer(Exception):
    """The submission gave no answer to judge. Carries the verdict's status and the feedback about it.

    own_words: whether `seen` quotes the student's code.
    location, called, through: see Feedback. todo: what is not written yet, when that is the reason.
    meaning: what the exception means, for code that raised one of the usual ones; told where no mistake is named.
    """

    def __init__(
        self,
        status: Status,
        seen: str,
        hint: str,
        *,
        own_words: bool = False,
        location: Location | None = None,
        todo: str | None = None,
        called: str = "",
        through: Location | None = None,
        meaning: Meaning | None = None,
    ) -> None:
        super().__init__(seen)
        self.status: Status = status
        self.seen = seen
        self.hint = hint
        self.own_words = own_words
        self.location = location
        self.todo = todo
        self.called, self.through, self.meaning = called, through, meaning
        self.mistake: str | None = None
        self.diagnosis: str | None = None
        self.once = False

    def name(self, mistake: Mistake) -> None:
        """Names the mistake behind it, and replaces the hint by the mistake's own."""
        self.mistake, self.diagnosis, self.hint = mistake.id, mistake.sentence, mistake.hint
        self.once = mistake.once
