"""How the checks of `reconstruct` ask for a search for codes, read its results, and judge what it leaves behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.judging import (
    Candidate,
    Draw,
    Fault,
    Mistake,
    NoAnswer,
    Observation,
    Submission,
    close,
    expect,
    expect_close,
    fail,
    first_shown,
)

from ...mistakes.public import gan_reconstruct as mistakes
from ...stand_ins.gan import CODE_SIZE, stand_in_reconstruction_loss
from .models_gan import State, generator_from, generator_state, reachable_images

# Of computing; code may search for one image after the other, and each step on a simulated device takes 2 ms.
SECONDS = 30.0
PROBE, ELSEWHERE = "gan_reconstruct.reconstruct", "gan_reconstruct.elsewhere"
# Whether the generator and the discriminator are in training mode before a search. The generator is in it before most
# searches, which shows code that forgets to change its mode; together, they show each network left in either mode.
MODES, OTHER_MODES = [True, False], [False, True]
# Images of the one search that most checks examine, hidden ones too. Printing its inputs gains nothing: a submission with
# another text gets other inputs.
SHARED = 4
RATE = 1e-2  # DCGAN.vis_learning_rate
CLEARLY = 0.9  # of the zero codes' error: far below what short random steps reach

Loss = Callable[[Tensor, Tensor], Tensor]
# Batch sizes that students write into their code in place of the batch's own: the handout's 64 images, and batch_size.
FIXED = (64, 128)


@dataclass
class Search:
    """One call of `reconstruct`: what was observed, the generator's weights, the images that were given."""

    seen: Observation
    state: State
    samples: Tensor

    @property
    def count(self) -> int:
        return self.samples.shape[0]

    def returned(self) -> tuple[float, Tensor]:
        """Loss and images, as reconstruct returned them; raises Fault where they are not a number and images."""
        return returned_pair(self.seen, self.count)

    @property
    def calls(self) -> int:
        """How often the generator was called."""
        calls = self.seen.get("calls")
        return calls if isinstance(calls, int) else 0

    def images_of(self, codes: Tensor) -> Tensor:
        """The generator's images of some codes, in evaluation mode."""
        with torch.no_grad():
            images: Tensor = generator_from(self.state).eval()(codes)
        return images

    def start(self) -> Tensor:
        """The images of the zero codes."""
        return self.images_of(torch.zeros(self.count, CODE_SIZE))

    def downhill(self, samples: Tensor) -> Tensor:
        """The direction (N, 64) in which the error of the zero codes' images falls fastest."""
        codes = torch.zeros(len(samples), CODE_SIZE, requires_grad=True)
        (gradient,) = torch.autograd.grad(
            F.mse_loss(generator_from(self.state).eval()(codes), samples), [codes]
        )
        return -gradient

    def error(self, images: Tensor) -> float:
        """Mean squared difference from the given images."""
        return (images - self.samples).double().square().mean().item()

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The losses that may have been minimised: the stand-in of the student's own, and the mean squared error.

        The one that was called comes first. Code that computes the error itself never calls the stand-in.
        """
        both = (stand_in_reconstruction_loss, F.mse_loss)
        return both if self.seen.flag("own_loss") else both[::-1]

    def accepted(self, images: Tensor) -> list[float]:
        """The losses of images that may be returned."""
        return [loss(images.double(), self.samples.double()).item() for loss in self.losses]


def ask_search(submission: Submission, draw: Draw, count: int, training: list[bool] = MODES) -> Search:
    """A search with `count` images; with another number, where the code works for that number alone.

    training: whether the generator and the discriminator are in training mode before the call.
    Only the check of the number of images takes points for that.
    """
    state = generator_state(draw)
    samples = reachable_images(state, draw, count)
    try:
        found = search(submission, state, samples, training)
    except NoAnswer as reason:
        fixed = fixed_number(submission, draw) if reason.status == "failed" else None
        if fixed is None:
            raise
    else:
        fixed = fixed_number(submission, draw) if makes_another_number(found) else None
        if fixed is None:
            return found
    return search(submission, state, reachable_images(state, Draw(draw.seed), fixed), training)


def number_of(draw: Draw) -> int:
    """A number of images other than those of the other searches; the same for all checks with the same draw."""
    return Draw(draw.seed).choice((3, 5, 6))


def judge_search(
    submission: Submission,
    draw: Draw,
    judge: Callable[[Search], None],
    briefly: Callable[[Search], None] | None = None,
) -> None:
    """Has `judge` examine the search on another device, which one check asks for, and, unless that passes, one on the CPU.

    briefly: judges as `judge` does, without looking for the mistake.
    """
    found = ask_elsewhere(submission, draw)
    if found is not None:
        with suppress(Fault):
            (briefly or judge)(found)
            return
    draw.restart()
    judge(ask_search(submission, draw, SHARED))


def ask_elsewhere(submission: Submission, draw: Draw) -> Search | None:
    """A search on another device, with a number of images that is drawn; None where it does not get to its end there."""
    state = generator_state(draw)
    samples = reachable_images(state, draw, number_of(draw))
    try:
        found = search(submission, state, samples, MODES, ELSEWHERE)
    except NoAnswer as reason:
        if reason.status != "failed":
            raise
        return None
    ended = found.seen.get("collision") is None and not found.seen.flag("raised")
    return found if ended and not makes_another_number(found) else None


def search(
    submission: Submission, state: State, samples: Tensor, training: list[bool], probe: str = PROBE
) -> Search:
    """One call of reconstruct; checks that ask for the same search examine the same one."""
    seen = submission.ask_once(probe, seconds=SECONDS, samples=samples, generator=state, training=training)
    return Search(seen, state, samples)


def fixed_number(submission: Submission, draw: Draw) -> int | None:
    """The first of the numbers FIXED for which the code works on the CPU; None where it works for neither.

    These searches take long. Checks with the same draw share them.
    """
    state = generator_state(Draw(draw.seed))
    for count in FIXED:
        samples = reachable_images(state, Draw(draw.seed), count)
        with suppress(NoAnswer):
            if not makes_another_number(search(submission, state, samples, MODES)):
                return count
    return None


def makes_another_number(found: Search) -> bool:
    """True when reconstruct returned images, but not as many as were given."""
    pair = found.seen.get("returned")
    images = pair[1] if isinstance(pair, (list, tuple)) and len(pair) == 2 else None
    return isinstance(images, Tensor) and images.shape[1:] == (3, 32, 32) and images.shape[0] != found.count


def returned_pair(seen: Observation, count: int) -> tuple[float, Tensor]:
    """Loss and images, as reconstruct returned them; raises Fault where they are not a number and `count` images."""
    pair = seen.list("returned", 2, what="what reconstruct returned")
    results = Observation({"loss": pair[0], "images": pair[1]})
    if isinstance(pair[0], Tensor) and pair[0].dim() > 0 and isinstance(pair[1], (int, float)):
        fail(expected="(loss, images)", seen="(images, loss)", mistake=mistakes.RESULTS_SWAPPED)
    if isinstance(pair[1], Tensor) and pair[1].shape == (count, CODE_SIZE):
        fail(
            expected=f"the returned images: a tensor of shape ({count}, 3, 32, 32)",
            seen=f"a tensor of shape ({count}, {CODE_SIZE}), the shape of the codes",
            mistake=mistakes.RETURNS_CODES,
        )
    loss = results.number("loss", what="the returned loss", hint="Return loss.item().")
    return loss, results.tensor("images", (count, 3, 32, 32), what="the returned images")


def expect_loss_of(
    found: Search, loss: float, images: Tensor, *, what: str, rtol: float, others: Sequence[Candidate] = ()
) -> None:
    """Raises Fault unless a loss is that of the images.

    others: further mistakes with the losses that they lead to.
    """
    accepted = found.accepted(images)
    if any(close(loss, value, rtol=rtol, atol=1e-5) for value in accepted):
        return
    at_zero = found.accepted(found.start())
    expect_close(
        loss,
        accepted[0],
        what=what,
        rtol=rtol,
        atol=1e-5,
        mistakes=[*(mistakes.RETURNS_FIRST_LOSS.giving(value) for value in at_zero), *others],
        hint="Return the loss after the last step, not the first or the mean of all.",
    )


def expect_searched(found: Search) -> None:
    """Raises Fault unless the codes of the generator's last call are nearer to the given images than the zero codes are.

    Code may search for one image after the other: the last codes are then those of the last images. Codes that stay at zero
    do not count: other checks judge that all of them move.
    """
    last = found.seen.get("last")
    rows = len(last) if isinstance(last, Tensor) and last.dim() == 2 and last.is_floating_point() else 0
    nearer, seen = False, "no codes for these images"
    if isinstance(last, Tensor) and 0 < rows <= found.count and last.shape[1] == CODE_SIZE and last.any():
        moved = last.any(dim=1)
        samples = found.samples[-rows:][moved]
        errors = [
            (images[-rows:][moved] - samples).square().mean().item()
            for images in (found.images_of(last.float()), found.start())
        ]
        # Any short step has an even chance to come a little nearer: codes that hardly do must lie where the error falls.
        steps, downhill = last[moved].float().flatten(), found.downhill(samples).flatten()
        along = torch.cosine_similarity(steps, downhill, dim=0)
        nearer = errors[0] < CLEARLY * errors[1] or (errors[0] < errors[1] and float(along) > 0.3)
        seen = f"a mean squared error of {errors[0]:.4f}, where the zero codes have {errors[1]:.4f}"
    expect(
        nearer,
        expected="a generator called with codes whose images are nearer to the given ones than those of the zero codes",
        seen=seen,
        hint="Let Adam change the codes so that _reconstruction_loss falls.",
    )


@dataclass(frozen=True)
class FirstStep:
    """The size of a search's first step: Adam's is its rate, whatever the gradient."""

    size: float

    def fits_rate(self, rate: float) -> bool:
        return abs(self.size / rate - 1) < 0.05

    def hardly_moved(self) -> bool:
        return self.size < 1e-4


def expect_search_as_asked(found: Search) -> None:
    """Raises Fault unless the codes start at zero and change 500 times, the generator in evaluation mode; nothing keeps a graph.

    Code may search for one image after the other, and may generate the images of the last codes or not.
    """
    seen = found.seen
    expect(
        found.count not in FIXED,
        expected="reconstruct works for any number of images",
        seen=f"it works for {found.count}",
        mistake=mistakes.NUMBER_FIXED,
    )
    expect_called(seen.get("first"))
    first = seen.tensor("first", (None, CODE_SIZE), what="the codes of the generator's first call")
    expect(
        float(first.abs().max()) <= 1e-6,
        expected="codes that start at zero",
        seen=f"codes up to {float(first.abs().max()):.3g}",
        mistake=mistakes.RANDOM_START,
    )
    expect(
        not seen.flag("training"),
        expected="the generator in evaluation mode during the search",
        seen="training mode",
        mistake=mistakes.IN_TRAINING_MODE,
    )
    searches = math.ceil(found.count / len(first))
    changes = seen.number("changes", what="how often the codes changed")
    expect(
        499 * searches <= changes <= 501 * searches,
        expected="500 steps",
        seen=f"codes that changed {changes / searches:.0f} times",
        mistake=mistakes.STEPS_NOT_500 if changes else why_at_zero(found),
    )
    step = seen.tensor("second", first.shape, what="the codes after one step") - first
    expect(
        not mistakes.moves_first_alone(step),
        expected="codes of all images that move at the first step",
        seen=f"the first code alone, of {len(step)}",
        mistake=mistakes.FIRST_IMAGE_ONLY,
    )
    size = float(step.abs().median())
    expect(
        abs(size / RATE - 1) < 0.02,
        expected=f"codes that Adam's first step moves by vis_learning_rate, {RATE:g}",
        seen=f"a step of {size:.3g}",
        mistake=first_shown(mistakes.STEP_SIZES, FirstStep(size)),
        hint="Give Adam lr=self.vis_learning_rate.",
    )
    expect(
        not seen.flag("graph"),
        expected="a loss and images without a graph",
        seen="one of them is attached to its graph",
        mistake=mistakes.GRAPH_KEPT,
    )
    expect(
        seen.flag("unchanged"),
        expected="the samples left as they were",
        seen="samples that were changed in place",
        mistake=mistakes.SAMPLES_CHANGED,
    )
    expect_new_codes(found)


def expect_new_codes(found: Search) -> None:
    """Raises Fault when the first call of the generator gets codes of zero in a first search, and others in a second one."""
    first, again = (found.seen.get(key) for key in ("first", "first_again"))
    if not isinstance(first, Tensor) or not isinstance(again, Tensor) or bool(first.any()):
        return
    expect(
        not bool(again.any()),
        expected="codes that start at zero at every call",
        seen=f"codes up to {float(again.abs().max()):.3g} at the start of a second call",
        mistake=mistakes.CODES_KEPT,
    )


def expect_called(codes: object) -> None:
    """Raises a fault when no codes were noted, because the generator was not called."""
    expect(
        codes is not None,
        expected="self._generator called with codes",
        seen="a generator that was not called",
        hint="Search with self._generator.",
    )


def why_at_zero(found: Search) -> Mistake:
    """Why the images are those of the zero codes: steps that do not move them, or too few steps."""
    return mistakes.CODES_NEVER_MOVE if found.calls > 2 else mistakes.STEPS_NOT_500


def expect_untouched(found: Search) -> None:
    """Raises Fault when reconstruct did not search at all, changed a network, or left gradients on it."""
    expect_searched(found)
    expect_same(found.seen)


def expect_same(seen: Observation) -> None:
    """Raises Fault when a search changed a network, or left gradients on it."""
    for network in ("generator", "discriminator"):
        same = seen.part("same").part(network)
        for part, (words, mistake) in mistakes.UNTOUCHED.items():
            expect(
                same.flag(part),
                expected=f"{words.format(network)} as before the call",
                seen="changed",
                mistake=mistake,
            )
        largest = seen.part("gradients").get(network)
        expect(
            largest is None or (isinstance(largest, float) and largest == 0),
            expected=f"no gradient left on the {network}",
            seen="gradients on its parameters",
            mistake=mistakes.GRADIENTS_LEFT,
        )
