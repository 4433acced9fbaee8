"""Hidden checks of gan.py: question 2-1a, the initialisation of both networks and the optimisers."""

from __future__ import annotations

from autograder.judging import again

from ..public import test_gan_initialisation as initialisation
from ..public import test_gan_optimisers as optimisers

test_optimisers_are_adam_as_asked = again(
    optimisers.test_optimisers_are_adam_as_asked_early, points=1, rubric="The optimisers' settings"
)

test_optimisers_keep_to_their_network = again(
    optimisers.test_optimisers_keep_to_their_network_early,
    points=0.5,
    rubric="Each optimiser works on its own network",
)

test_convolutions_start_normal = again(
    initialisation.test_convolutions_start_normal_early, points=1, rubric="Initialisation of the convolutions"
)

test_batch_norms_start_normal = again(
    initialisation.test_batch_norms_start_normal_early,
    points=1,
    rubric="Initialisation of the batch normalisations",
)

test_linear_layers_keep_their_default = again(
    initialisation.test_linear_layers_keep_their_default_early,
    points=0.5,
    rubric="Initialisation leaves the linear layers alone",
)
