"""Where the losses of the notebooks' trainings lie when all is well, likely causes where they do not, and pictures.

    from autograder.generative import expected

    print(expected.compare("auto-encoder", "MNIST", {"rec": 0.0888}))
    figures.image_rows({"yours": mine, "the reference": expected.rebuilt("auto-encoder", "MNIST")}, "test images")

No points depend on a band. RESULTS.md says where each comes from: five seeds of the reference, the sweep, or the range that the
assignment states. A notebook in quick mode has nothing to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

PICTURES = Path(__file__).parent / "data" / "expected_reconstructions.safetensors"


@dataclass(frozen=True)
class Band:
    """The reference's values lie from `low` to `high`; `below` and `above` say what to look at otherwise."""

    low: float
    high: float
    below: str
    above: str

    def judge(self, name: str, value: float) -> str:
        """One line about a final value."""
        band = f"{self.low:g} to {self.high:g}" if self.low else f"at most {self.high:g}"
        if self.low <= value <= self.high:
            return f"{name} {value:.4g}: within the reference's range ({band})."
        side, cause = ("below", self.below) if value < self.low else ("above", self.above)
        return f"{name} {value:.4g}: {side} the reference's range ({band}). Check this first: {cause}"


_UNTRAINED = (
    "Adam's learning rate, gradients that are never cleared, an activation after the encoder's last layer, or a run that "
    "was cut short."
)
_NOT_ENTROPY = (
    "the loss: is it the mean cross-entropy over all pixels? (A squared error ends about ten times lower.)"
)
_NOISY_REC = "the noise: is eps multiplied by exp(log_sigma), is the mean the first half of q, and is beta 0?"
_SMALL_KL = (
    "the KL term: is it taken of mu and log sigma (not of a sample), with the arguments in the right order?"
)
_LARGE_KL = "the mean: a sum over the 32 dimensions is 32 times as large, a sum over a batch of 64 is 64 times as large."
_BETA_IGNORED = "the total: is the KL term multiplied by self.beta, and is the total what you minimise?"
_NOT_SHUT = (
    "the prior: its mean is 0 and its log sigma is 0; then check that the KL term is multiplied by self.beta."
)
_NATS = (
    "rec and kl of the table. If rec is high and kl near 0, or rec is low and kl very large, try another BETA; if both are "
    "high, look for a fault in the training loop."
)
_TOO_GOOD = (
    "the two means: rec is over all pixels and kl over all latent dimensions; no correct model gets this low."
)
_LABELS = (
    "the labels: does forward pass c to both networks, and are the one-hot rows at the end of their inputs?"
)
_LABELS_OR_BETA = (
    f"{_LABELS} If they are right, look at rec and kl: if rec is high and kl near 0, or rec is low and kl very large, try "
    "another cvae_beta (and leave BETA as it is); if both are high, look for a fault in the training loop."
)
_DIS_WINS = "the discriminator wins. Is optimizerG's step taken, and are the generator's fakes labelled 1 and not detached?"
_DIS_GUESSES = (
    "the discriminator guesses (2 log 2 = 1.386). Are real images labelled 1 and fakes 0, and is optimizerD's step taken? "
    "Then look at Adam's betas."
)
_SEARCH = "the search: codes that start at 0, 500 steps of Adam at 1e-2 on the codes, the generator in evaluation mode."

_FIRST = Band(0.684, 0.704, _NOT_ENTROPY, "the decoder's sigmoid, and the order of the loss's arguments.")

# By the training and the data.
BANDS: Mapping[tuple[str, str], Mapping[str, Band]] = {
    ("auto-encoder", "MNIST"): {
        "first": _FIRST,
        "rec": Band(0.083, 0.092, _NOT_ENTROPY, _UNTRAINED),
    },
    ("auto-encoder", "scikit-learn's digits"): {
        "first": _FIRST,
        "rec": Band(0.32, 0.345, _NOT_ENTROPY, _UNTRAINED),
    },
    ("VAE, beta 0", "MNIST"): {
        "rec": Band(0.085, 0.100, _NOT_ENTROPY, _NOISY_REC),
        "kl": Band(20, 32, _SMALL_KL, _LARGE_KL),
    },
    ("VAE, beta 0", "scikit-learn's digits"): {
        "rec": Band(0.32, 0.35, _NOT_ENTROPY, _NOISY_REC),
        "kl": Band(10, 20, _SMALL_KL, _LARGE_KL),
    },
    ("VAE, beta 10", "MNIST"): {
        "rec": Band(0.25, 0.28, _BETA_IGNORED, _UNTRAINED),
        "kl": Band(0, 1e-5, _SMALL_KL, _NOT_SHUT),
    },
    ("VAE, beta 10", "scikit-learn's digits"): {
        "rec": Band(0.44, 0.46, _BETA_IGNORED, _UNTRAINED),
        "kl": Band(0, 1e-5, _SMALL_KL, _NOT_SHUT),
    },
    ("tuned VAE", "MNIST"): {"-ELBO": Band(100, 130, _TOO_GOOD, _NATS)},
    ("tuned VAE", "scikit-learn's digits"): {"-ELBO": Band(278, 295, _TOO_GOOD, _NATS)},
    ("CVAE", "MNIST"): {"-ELBO": Band(100, 140, _TOO_GOOD, _LABELS_OR_BETA)},
    ("CVAE", "scikit-learn's digits"): {"-ELBO": Band(275, 295, _TOO_GOOD, _LABELS_OR_BETA)},
    ("DCGAN", "CIFAR-10"): {
        "discriminator's loss": Band(0.4, 1.1, _DIS_WINS, _DIS_GUESSES),
        "generator's loss": Band(0.6, 3.0, _DIS_GUESSES, _DIS_WINS),
    },
    ("DCGAN, spectral norm", "CIFAR-10"): {
        "discriminator's loss": Band(0.4, 1.1, _DIS_WINS, _DIS_GUESSES),
        "generator's loss": Band(0.6, 3.0, _DIS_GUESSES, _DIS_WINS),
    },
    ("reconstruction", "CIFAR-10"): {"loss": Band(0, 0.03, "", _SEARCH)},
}


def bound(images: Tensor, rec: Tensor, q: Tensor) -> float:
    """The negative evidence lower bound in nats, the mean over images; both terms are sums (Kingma and Welling 2014, equation 3).

    Args:
        images: (N, 1, pixels) in [0, 1].
        rec: their reconstructions, with as many pixels.
        q: the parameters of the posterior, (N, 1, 2 nz): its means, then the logarithms of its standard deviations.
    """
    mean, log_sigma = q.chunk(2, dim=-1)
    divergence = 0.5 * (mean**2 + (2 * log_sigma).exp() - 1) - log_sigma
    reconstruction = F.binary_cross_entropy(rec.reshape(images.shape), images, reduction="sum")
    return float(reconstruction + divergence.sum()) / len(images)


def compare(training: str, data: str, final: Mapping[str, float], quick: bool = False) -> str:
    """Compares final losses with the reference's, in lines to print.

    Args:
        training: "auto-encoder", "VAE, beta 0", "VAE, beta 10", "tuned VAE", "CVAE", "DCGAN", "DCGAN, spectral norm" or
            "reconstruction".
        data: the name of the data set, as the notebooks print it.
        final: the losses at the end, by the names that `BANDS` has for the training.
        quick: whether the run was shortened, so that it ends elsewhere.
    """
    known = BANDS.get((training, data))
    if quick or known is None:
        why = "a short run" if quick else data
        return f"{training}: there is no reference for {why}, so there is nothing to compare."
    return "\n".join(f"{training}, {known[name].judge(name, value)}" for name, value in final.items())


def rebuilt(training: str, data: str) -> Tensor:
    """The reference's reconstructions (10, 28, 28) of the first ten test images, in [0, 1].

    Args:
        training: "auto-encoder" or "VAE, beta 0".
        data: "MNIST" or "scikit-learn's digits".
    """
    with safe_open(PICTURES, "pt") as file:
        images: Tensor = file.get_tensor(f"{training} | {data}")
        return images.float().div(255)
