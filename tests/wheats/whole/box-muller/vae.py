"""Aufgabe 1, Teil 2: VAE.   q(z|x) = N(μ, σ²),  λ = ln σ."""

import math

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, reconstruction_loss, ε_wie, π

IMAGE_SIZE = 784

# nz / D = 32 / 784
BETA = 2 / 49

INTERPOLATIONS = [(0, 8), (8, 1)]


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


class Ziehung(torch.autograd.Function):
    """(μ, λ, ε) -> z = μ + e^λ ε,  mit den Ableitungen  ∂z/∂μ = 1,  ∂z/∂λ = e^λ ε = z - μ,  ∂z/∂ε = e^λ."""

    generate_vmap_rule = True

    @staticmethod
    def forward(μ, λ, ε):
        return μ + torch.exp(λ) * ε

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, λ, ε = inputs
        ctx.save_for_backward(λ, ε)

    @staticmethod
    def backward(ctx, g):
        λ, ε = ctx.saved_tensors
        σ = torch.exp(λ)
        return g, g * σ * ε, g * σ


def kreuzentropie(μ: Tensor, λ: Tensor) -> Tensor:
    """H[q, N(0, 1)] = ln(2π)/2 + (σ² + μ²)/2"""
    return 0.5 * (math.log(2 * π) + torch.exp(2 * λ) + μ**2)


def entropie(λ: Tensor) -> Tensor:
    """H[q] = ln(2πe)/2 + λ"""
    return 0.5 * (math.log(2 * π) + 1) + λ


class VAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta
        self.encoder = Encoder(nz=nz + nz, input_size=IMAGE_SIZE)
        self.decoder = Decoder(nz=nz, output_size=IMAGE_SIZE)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return Ziehung.apply(mu, log_sigma, ε_wie(mu.detach()))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        q = self.encoder(x)
        μ, λ = torch.unflatten(q, -1, (2, -1)).unbind(dim=-2)
        return {"q": q, "rec": self.decoder(self.reparameterize(μ, λ))}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        q = outputs["q"]
        μ, λ = torch.unflatten(q.double(), -1, (2, -1)).unbind(dim=-2)  # doppelt genau: Differenz ähnlicher Zahlen
        KL = torch.mean(kreuzentropie(μ, λ) - entropie(λ)).to(q.dtype)
        R = reconstruction_loss(outputs["rec"], x)
        return R + self.beta * KL, {"rec_loss": R, "kl_loss": KL}

    def reconstruct(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(False):
            q = self.encoder(x)
            μ = torch.unflatten(q, -1, (2, -1)).select(-2, 0)
            return self.decoder(μ).reshape(-1, 28, 28)


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    θ = list(model.parameters())
    adam = torch.optim.Adam(θ, lr=learning_rate)
    adam.zero_grad()
    R: list[float] = []
    KL: list[float] = []
    for _ in range(epochs):
        model.train(True)
        for x, _y in loader:
            x = x.to(device).reshape(x.size(0), 1, -1)
            L, teile = model.loss(x, model(x))
            L.backward(gradient=torch.ones_like(L), inputs=[p for p in θ if p.requires_grad])
            adam.step()
            adam.zero_grad()
            R.append(float(teile["rec_loss"].detach()))
            KL.append(float(teile["kl_loss"].detach()))
    return {"kl_loss": KL, "rec_loss": R}


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
