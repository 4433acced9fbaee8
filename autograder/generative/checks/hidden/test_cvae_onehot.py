"""Hidden check of cvae.py: the one-hot vectors of question 1-8."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from autograder.judging import Draw, Submission, check, expect, first_shown
from autograder.judging.properties import for_all

from ...mistakes.hidden import cvae as mistakes
from ..public import judge_calls as calls
from ..public import judge_common as common


@check(
    "1-8",
    points=0.5,
    title="idx2onehot is right at every size, and refuses invalid labels",
    asks="idx2onehot(idx, n): integer labels (N,) or (N, 1), 0 <= idx < n -> (N, n) float32; other labels, shapes and dtypes "
    "raise an exception.",
    rubric="idx2onehot at other sizes, on another device, and with invalid labels",
)
def test_onehot_edges(submission: Submission, draw: Draw) -> None:
    def right(n: int, labels: list[int]) -> None:
        idx = torch.tensor(labels).clamp(max=n - 1)
        idx = torch.cat([idx, torch.tensor([n - 1])])
        inputs = [idx, idx[:, None], idx[:1], idx[:1, None]]
        seen = submission.ask("cvae.idx2onehot", labels=inputs, n=n)
        for asked, value in zip(inputs, seen.list("values", len(inputs)), strict=True):
            calls.expect_onehot(value, asked, n)
        expect(seen.flag("kept"), expected="unchanged labels", seen="labels that were changed")

    for_all(draw, right, n=st.integers(1, 30), labels=st.lists(st.integers(0, 29), min_size=1, max_size=8))
    seen = submission.ask("cvae.idx2onehot_elsewhere", idx=draw.integers(0, 5, 4), n=5)
    common.expect_no_collision(seen, "idx2onehot")
    expect(
        not seen.flag("left"),
        expected="one-hot vectors on the device of the labels",
        seen="one-hot vectors on the CPU, for labels on another device",
        mistake=mistakes.ONEHOT_ON_CPU,
    )
    _expect_refusals(submission, draw)


def _expect_refusals(submission: Submission, draw: Draw) -> None:
    """Labels that are out of range, of another shape or no integers raise an exception."""
    n = draw.integer(3, 9)
    good, beyond, below = draw.integers(0, n, 5), draw.integers(0, n, 5), draw.integers(0, n, 5)
    beyond[draw.integer(0, 5)], below[draw.integer(0, 5)] = n, -1
    bad = {
        f"a label {n} with n = {n}": beyond,
        "a negative label": below,
        "labels of shape (5, 2)": draw.integers(0, n, 5, 2),
        "labels of shape (5, 0)": good.new_zeros(5, 0),
        "labels of shape (2, 3, 1)": draw.integers(0, n, 2, 3, 1),
        "labels of shape (5, 1, 2)": draw.integers(0, n, 5, 1, 2),
        "a label without axes, shape ()": good[0],
        "floats": good.float(),
        "floats that are not whole": good + 0.5,
    }
    seen = submission.ask("cvae.idx2onehot_refused", good=good, bad=list(bad.values()), n=n)
    seen.list("bad", len(bad), what="the answers to labels that must be refused")
    for (name, labels), answer in zip(bad.items(), seen.parts("bad"), strict=True):
        accepted = mistakes.Accepted(labels, answer.get("value"), good, n)
        expect(
            answer.text("raised") != "",
            expected=f"an exception for {name}",
            seen="an answer",
            hint="Check idx.shape, the dtype, and the smallest and largest label before anything else.",
            mistake=first_shown(mistakes.ACCEPTED, accepted),
        )
