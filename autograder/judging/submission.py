"""What a check can ask of a submission."""

from __future__ import annotations

from typing import Any, Protocol

from autograder.judging.observation import Observation

ASK_SECONDS = 15.0  # for one probe, unless the check says otherwise


class Submission(Protocol):
    """The submission under judgement, behind its sandbox: the fixture `submission` of every check."""

    def ask(self, probe: str, /, *, seconds: float = ASK_SECONDS, **inputs: Any) -> Observation:
        """What `probe` ("module.function") observed.

        Raises NoAnswer when the student's code raised, did not end in time, died or is missing.
        """
        ...

    def ask_once(self, probe: str, /, *, seconds: float = ASK_SECONDS, **inputs: Any) -> Observation:
        """As `ask`, but an answer that an earlier check of this question got for the same inputs is returned again.

        For long probes whose answer several checks examine; never for anything that must be new at every call.
        """
        ...
