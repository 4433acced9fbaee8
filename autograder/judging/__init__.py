"""What check files import: the `check` mark, expectations that explain themselves, and tests of noise."""

from autograder.judging.check import check
from autograder.judging.draw import Draw, seed_from
from autograder.judging.faults import Mistake, close, expect, expect_close, expect_equal, fail, say
from autograder.judging.observation import Fault, Observation, Unsupported
from autograder.judging.statistics import (
    expect_fresh,
    expect_standard_normal,
    expect_unit_spread,
    shared_columns,
    shared_rows,
)

__all__ = [
    "Draw",
    "Fault",
    "Mistake",
    "Observation",
    "Unsupported",
    "check",
    "close",
    "expect",
    "expect_close",
    "expect_equal",
    "expect_fresh",
    "expect_standard_normal",
    "expect_unit_spread",
    "fail",
    "say",
    "seed_from",
    "shared_columns",
    "shared_rows",
]
