"""Hidden checks of gan.py: question 2-1a, the initialisation of both networks and the optimisers."""

from __future__ import annotations

from autograder.judging import Draw, Submission, check

from ..public import test_gan_initialisation as initialisation
from ..public import test_gan_optimisers as optimisers
from ..public.test_gan_initialisation import INIT
from ..public.test_gan_optimisers import PARAMETERS, SETTINGS


@check(
    "2-1a",
    points=1,
    title="Both optimisers are Adam with learning rate 2e-4 and betas (0.5, 0.999)",
    asks=SETTINGS,
    rubric="The optimisers' settings",
)
def test_optimisers_are_adam_as_asked(submission: Submission, draw: Draw) -> None:
    optimisers.test_optimisers_are_adam_as_asked_early(submission, draw)


@check(
    "2-1a",
    points=0.5,
    title="Each optimiser moves all of its own network and nothing of the other",
    asks=PARAMETERS,
    rubric="Each optimiser works on its own network",
)
def test_optimisers_keep_to_their_network(submission: Submission, draw: Draw) -> None:
    optimisers.test_optimisers_keep_to_their_network_early(submission, draw)


@check(
    "2-1a",
    points=1,
    title="Every convolution's weights are drawn from N(0, 0.02)",
    asks=INIT,
    rubric="Initialisation of the convolutions",
)
def test_convolutions_start_normal(submission: Submission) -> None:
    initialisation.test_convolutions_start_normal_early(submission)


@check(
    "2-1a",
    points=1,
    title="Every batch normalisation's weights are drawn from N(1, 0.02), and its biases are 0",
    asks=INIT,
    rubric="Initialisation of the batch normalisations",
)
def test_batch_norms_start_normal(submission: Submission) -> None:
    initialisation.test_batch_norms_start_normal_early(submission)


@check(
    "2-1a",
    points=0.5,
    title="Linear layers keep PyTorch's default initialisation",
    asks=INIT,
    rubric="Initialisation leaves the linear layers alone",
)
def test_linear_layers_keep_their_default(submission: Submission) -> None:
    initialisation.test_linear_layers_keep_their_default_early(submission)
