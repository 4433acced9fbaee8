"""What check files import: the `check` mark, expectations that explain themselves, and tests of noise."""

from autograder.judging.catalogue import Candidate, Mistake, candidates, first_shown
from autograder.judging.check import again, check
from autograder.judging.draw import Draw, seed_from
from autograder.judging.expect import close, expect, expect_close, expect_equal, fail, say
from autograder.judging.observation import Observation, Unsupported
from autograder.judging.outcome import Fault, NoAnswer
from autograder.judging.statistics import (
    expect_fresh,
    expect_standard_normal,
    expect_unit_spread,
    shared_columns,
    shared_rows,
)
from autograder.judging.submission import Submission

__all__ = [
    "Candidate",
    "Draw",
    "Fault",
    "Mistake",
    "NoAnswer",
    "Observation",
    "Submission",
    "Unsupported",
    "again",
    "candidates",
    "check",
    "close",
    "expect",
    "expect_close",
    "expect_equal",
    "expect_fresh",
    "expect_standard_normal",
    "expect_unit_spread",
    "fail",
    "first_shown",
    "say",
    "seed_from",
    "shared_columns",
    "shared_rows",
]
