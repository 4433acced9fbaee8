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

from autoencoder import Decoder, Encoder, reconstruction_loss
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch.distributions import Normal

IMAGE_SIZE = 784

# Question 1-6 (2 points). The weight of the KL term that gives both good reconstructions and good samples,
# for a VAE with nz = 32 trained on MNIST with Adam at a learning rate of 1e-3. A plain number. Start with two
# questions: What does the loss become with beta = 0, and with beta = 10? Which beta makes it proportional to
# the evidence lower bound?
BETA = 0.05

# Question 1-7 (1 point). Two pairs of digits to interpolate between, [(a, b), (c, d)]: labels 0 to 9, a
# different from b and c from d, and the second pair neither the first pair nor its reverse. Choose pairs
# whose interpolation is interesting to look at.
INTERPOLATIONS = [(5, 6), (7, 2)]


@contextmanager
def watching(module: nn.Module) -> Iterator[list]:
    """The outputs of a module's calls inside the block."""
    outputs: list = []
    handle = module.register_forward_hook(lambda module, args, output: outputs.append(output))
    with ExitStack() as stack:
        stack.callback(handle.remove)
        yield outputs


class GaussianSampler(nn.Module):
    """(mu, log sigma) -> z, with gradients to both."""

    def forward(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return Normal(mu, log_sigma.exp(), validate_args=False).rsample()


class KLToPrior(nn.Module):
    """The prior as buffers (they move with the model, but are not saved), and the mean KL divergence from it."""

    def __init__(self, nz: int) -> None:
        super().__init__()
        self.register_buffer("mu", torch.zeros(nz), persistent=False)
        self.register_buffer("log_sigma", torch.zeros(nz), persistent=False)

    def forward(self, q: Tensor) -> Tensor:
        mu, log_sigma = q.chunk(2, dim=-1)
        prior = (buffer.to(q).expand_as(mu) for buffer in (self.mu, self.log_sigma))
        return kl_divergence(mu, log_sigma, *prior).mean()


class Reconstruction(nn.Module):
    def forward(self, rec: Tensor, x: Tensor) -> Tensor:
        return reconstruction_loss(rec, x)


class Objective(nn.Module):
    """A model and its loss as one module: x (and labels) -> (total, parts)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, *labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self.model.loss(x, self.model(x, *labels))


class Recorder:
    """A forward hook for an `Objective`: appends the parts of the loss to a history, as floats."""

    def __init__(self, *names: str) -> None:
        self.history: dict[str, list[float]] = {name: [] for name in names}

    def __call__(self, module: nn.Module, args: tuple, output: tuple[Tensor, dict[str, Tensor]]) -> None:
        _, parts = output
        for name, values in self.history.items():
            values.append(parts[name].item())


@contextmanager
def optimising(model: nn.Module, learning_rate: float) -> Iterator[torch.optim.Optimizer]:
    """Training mode and an Adam whose gradients are cleared by a hook after every step."""
    with ExitStack() as stack:
        for module in model.modules():
            stack.callback(setattr, module, "training", module.training)
        model.train()
        optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
        optimizer.zero_grad()
        stack.callback(optimizer.register_step_post_hook(lambda optimizer, *_: optimizer.zero_grad()).remove)
        yield optimizer


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
        self.sampler = GaussianSampler()
        self.criteria = nn.ModuleDict({"rec_loss": Reconstruction(), "kl_loss": KLToPrior(nz)})

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
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
        return self.sampler(mu, log_sigma)

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
        z = self.reparameterize(*q.chunk(2, dim=-1))
        return {"q": q, "rec": self.decoder(z)}

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
        arguments = {"rec_loss": (outputs["rec"], x), "kl_loss": (outputs["q"],)}
        parts = {name: criterion(*arguments[name]) for name, criterion in self.criteria.items()}
        return torch.add(parts["rec_loss"], parts["kl_loss"], alpha=self.beta), parts

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
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            posteriors = stack.enter_context(watching(self.encoder))
            images = stack.enter_context(watching(self.decoder))
            self.encoder(x)
            mu, _ = posteriors.pop().chunk(2, dim=-1)
            self.decoder(mu)
            return images.pop().reshape(len(x), 28, 28)


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
    objective = Objective(model)
    recorder = Recorder("rec_loss", "kl_loss")
    with ExitStack() as stack:
        optimizer = stack.enter_context(optimising(model, learning_rate))
        stack.callback(objective.register_forward_hook(recorder).remove)
        for _ in range(epochs):
            for images, _labels in loader:
                total, _parts = objective(images.to(device).flatten(start_dim=2))
                total.backward()
                optimizer.step()
    return recorder.history


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
