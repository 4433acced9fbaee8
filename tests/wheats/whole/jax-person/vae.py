"""Problem 1, part 2: a variational auto-encoder (VAE) for MNIST.

Instead of a single code, the encoder returns a normal distribution over codes, q(z|x) = N(mu, sigma): nz
means, then nz logarithms of *standard deviations*. The loss is the reconstruction error plus the KL
divergence of that distribution from the prior N(0, I), weighted by beta:

    loss = reconstruction error + beta * KL[q(z|x) || N(0, I)]

Both terms are means, over all pixels and all latent dimensions respectively.

Source: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014; beta as in Higgins et al., "beta-VAE",
2017.
"""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, fit, new_key, normal, reconstruction_loss

IMAGE_SIZE = 784

# Question 1-6 (2 points). The weight of the KL term that gives both good reconstructions and good samples,
# for a VAE with nz = 32 trained on MNIST with Adam at a learning rate of 1e-3. A plain number. Start with two
# questions: What does the loss become with beta = 0, and with beta = 10? Which beta makes it proportional to
# the evidence lower bound?
BETA = 32 / IMAGE_SIZE  # nz / number of pixels: then the loss is -ELBO / 784

# Question 1-7 (1 point). Two pairs of digits to interpolate between, [(a, b), (c, d)]: labels 0 to 9, a
# different from b and c from d, and the second pair neither the first pair nor its reverse. Choose pairs
# whose interpolation is interesting to look at.
INTERPOLATIONS = [(4, 9), (0, 1)]


def split(q: Tensor) -> tuple[Tensor, Tensor]:
    """(mu, log sigma) from the encoder's output."""
    nz = q.shape[-1] // 2
    return q[..., :nz], q[..., nz:]


def sample(key: int, mu: Tensor, log_sigma: Tensor) -> Tensor:
    """One draw from N(mu, sigma), a deterministic function of the key."""
    return mu + log_sigma.exp() * normal(key, mu.shape, mu.dtype, mu.device)


def kl_to_prior(q: Tensor) -> Tensor:
    """KL[q || N(0, I)] in nats, the mean over everything."""

    def of_one_image(q: Tensor) -> Tensor:
        mu, log_sigma = split(q)
        return kl_divergence(mu, log_sigma, torch.zeros_like(mu), torch.zeros_like(log_sigma)).mean()

    return torch.vmap(of_one_image)(q).mean()


def vae_loss(beta: float, x: Tensor, q: Tensor, rec: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    parts = {"rec_loss": reconstruction_loss(rec, x), "kl_loss": kl_to_prior(q)}
    return parts["rec_loss"] + beta * parts["kl_loss"], parts


def kl_divergence(mu1: Tensor, log_sigma1: Tensor, mu2: Tensor, log_sigma2: Tensor) -> Tensor:
    """KL[N(mu1, sigma1) || N(mu2, sigma2)] of one-dimensional normal distributions, elementwise (given).

    log(sigma2 / sigma1) + (sigma1^2 + (mu1 - mu2)^2) / (2 sigma2^2) - 1/2

    (Kingma and Welling 2014, appendix B, give the case of the prior N(0, 1).) The order of the arguments
    matters: the KL divergence is not symmetric.

    Args:
        mu1, mu2: means.
        log_sigma1, log_sigma2: natural logarithms of the standard deviations (not of the variances).

    Returns:
        The divergence of each element, in nats, nonnegative up to rounding. Nothing is summed or averaged.

    Example:
        >>> zero = torch.zeros(3)
        >>> kl_divergence(torch.tensor([0.0, 1.0, 2.0]), zero, zero, zero)
        tensor([0.0000, 0.5000, 2.0000])
    """
    log_ratio = log_sigma1 - log_sigma2
    distance = (mu1 - mu2) * torch.exp(-log_sigma2)
    return 0.5 * (torch.exp(2 * log_ratio) + distance**2 - 1) - log_ratio


class VAE(nn.Module):
    """A variational auto-encoder for images of 784 pixels.

    Question 1-4 (7 points): `__init__`, `reparameterize`, `forward`, `loss` and `reconstruct`

    Attributes set by `__init__`:
        beta: weight of the KL term.
        encoder: an `Encoder` with 2 nz outputs, the mean first and log sigma second.
        decoder: a `Decoder` that maps nz numbers to 784 pixels.

    Args:
        nz: length of a code.
        beta: weight of the KL term.
    """

    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta
        self.encoder = Encoder(2 * nz, IMAGE_SIZE)
        self.decoder = Decoder(nz, IMAGE_SIZE)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor, key: int | None = None) -> Tensor:
        """Sample codes from N(mu, sigma) so that gradients flow through the sampling.

        z = mu + exp(log_sigma) * eps with eps ~ N(0, I)   (Kingma and Welling 2014, section 2.4)

        Args:
            mu: means, any shape, for instance (N, 1, nz).
            log_sigma: logarithms of the standard deviations (not of the variances), the same shape.

        Returns:
            z, the same shape. Every element has its own eps, drawn anew at every call. Gradients flow to both
            arguments: dz/dmu = 1 and dz/dlog_sigma = z - mu.

        Example:
            >>> z = vae.reparameterize(torch.full((1000, 1, 32), 5.0), torch.full((1000, 1, 32), -1.0))
            >>> z.mean(), z.std()  # near 5 and near exp(-1) = 0.37
        """
        return sample(new_key() if key is None else key, mu, log_sigma)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Encode a batch, sample one code per image, and decode it.

        Args:
            x: flattened images (N, 1, 784), any N.

        Returns:
            A dictionary with
                "q": the encoder's output, (N, 1, 2 nz): means, then log sigmas (not the sampled code);
                "rec": the reconstructions (N, 1, 784), in [0, 1].

        Example:
            >>> outputs = VAE(nz=32)(torch.rand(5, 1, 784))
            >>> outputs["q"].shape, outputs["rec"].shape
            (torch.Size([5, 1, 64]), torch.Size([5, 1, 784]))
        """
        q = self.encoder(x)
        return {"q": q, "rec": self.decoder(self.reparameterize(*split(q)))}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The two terms of the VAE's loss, and their weighted sum.

        rec_loss: `reconstruction_loss` of the reconstructions.
        kl_loss: KL[q(z|x) || N(0, I)], the mean over the batch and the latent dimensions, in nats. (The
        standard deviation of N(0, I) is 1. What is its logarithm?)

        Args:
            x: the originals, (N, 1, 784).
            outputs: the return value of `forward` for them. Only "q" and "rec" are needed. Do not modify it.

        Returns:
            total = rec_loss + beta * kl_loss, and {"rec_loss": rec_loss, "kl_loss": kl_loss}: scalar (0-dim)
            tensors.

        Example:
            >>> total, parts = vae.loss(x, vae(x))
            >>> total.backward()
        """
        return vae_loss(self.beta, x, outputs["q"], outputs["rec"])

    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode and decode without sampling: decode the mean of q(z|x).

        Args:
            x: flattened images (N, 1, 784).

        Returns:
            Images (N, 28, 28), with no graph attached; the same at every call.

        Example:
            >>> VAE(nz=32).reconstruct(torch.rand(5, 1, 784)).shape
            torch.Size([5, 28, 28])
        """
        mu, _ = split(self.encoder(x))
        return self.decoder(mu).detach().unflatten(-1, (28, 28)).squeeze(1)


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Train a VAE in place.

    Question 1-5 (4 points)

    As in `train_autoencoder`: one Adam optimiser for the whole run, one step per batch, training mode,
    batches moved to `device` and flattened to (N, 1, 784). Minimise the total that `model.loss` returns.

    Args:
        model: has the `forward` and `loss` methods of a VAE. It is already on `device`.
        loader: yields (images, labels) with images (N, 1, 28, 28), on the CPU.
        epochs: how many times to go through the loader.
        learning_rate: Adam's learning rate.
        device: where to compute.

    Returns:
        {"rec_loss": [...], "kl_loss": [...]}, each with one plain float per iteration.

    Example:
        >>> history = train_vae(VAE(nz=32, beta=0.0), loader, epochs=5, learning_rate=1e-3)
        >>> history["rec_loss"][-1], history["kl_loss"][-1]  # about 0.09, and 20 to 32, on MNIST
    """
    def objective(x: Tensor, _: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return model.loss(x, model(x))

    return {"rec_loss": [], "kl_loss": []} | fit(model, objective, loader, epochs, learning_rate, device)


@torch.no_grad()
def interpolate(model: nn.Module, x_start: Tensor, x_end: Tensor, nz: int, steps: int) -> Tensor:
    """Interpolate between two images, along a straight line in the latent space (given).

    Args:
        model: has an `encoder` whose first nz outputs are a code (the posterior mean for a VAE, the code
            itself for a plain auto-encoder), and a `decoder`.
        x_start, x_end: one image each, any shape with 784 elements.
        nz: length of a code.
        steps: number of images, at least 2.

    Returns:
        Images (steps, 28, 28), with no graph attached. The first is decoded from exactly the code of
        `x_start`, the last from exactly the code of `x_end`.

    Raises:
        ValueError: fewer than two steps, which cannot include both ends.

    Example:
        >>> interpolate(vae, x_start=images[0], x_end=images[1], nz=32, steps=10).shape
        torch.Size([10, 28, 28])
    """
    if steps < 2:
        raise ValueError(f"an interpolation includes both ends, so it needs at least 2 steps; got {steps}")
    device = next(model.parameters()).device
    ends = torch.stack([x_start.reshape(1, -1), x_end.reshape(1, -1)]).to(device)  # (2, 1, 784)
    start, end = model.encoder(ends)[..., :nz].reshape(2, 1, nz)  # (1, nz) each
    weight = torch.linspace(0, 1, steps, device=device, dtype=start.dtype).unsqueeze(1)  # (steps, 1)
    codes = (1 - weight) * start + weight * end  # (steps, nz)
    return model.decoder(codes).reshape(steps, 28, 28)
