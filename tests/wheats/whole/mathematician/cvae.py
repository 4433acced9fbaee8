"""Problem 1, part 3: a conditional VAE.

Everything is conditioned on a label c: q(z|x, c) and p(x|z, c), but the prior p(z) = N(0, I) is not. A label
is represented by the unit vector e_c, and a network of (a, c) is a network of the block vector [a | e_c].
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Code, Decoder, Encoder, Gaussian, descend
from vae import SIDE, free_energy, kl_divergence, posterior

IMAGE_SIZE = 784


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    """The unit vectors e_idx of R^n: rows of the identity matrix."""
    if idx.is_floating_point() or idx.is_complex() or idx.dtype == torch.bool:
        raise ValueError(f"labels must be integers, got {idx.dtype}")
    if idx.ndim == 2 and idx.shape[1] == 1:
        idx = idx[:, 0]
    if idx.ndim != 1:
        raise ValueError(f"labels must have the shape (N,) or (N, 1), got {tuple(idx.shape)}")
    idx = idx.long()
    if not torch.all((0 <= idx) & (idx < n)):
        raise ValueError(f"labels must be in 0..{n - 1}")
    identity = torch.eye(n, dtype=torch.float32, device=idx.device)
    return identity[idx]


class CVAEEncoder(nn.Module):
    """f(x, c) = Encoder([x | e_c])"""

    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.of_block = Encoder(nz, input_size + (num_labels if conditional else 0))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        if self.conditional and c is None:
            raise ValueError("a conditional encoder needs labels: call it as encoder(x, c)")
        block = Code(x)
        if self.conditional:
            block = block | idx2onehot(c, self.num_labels)[:, None]
        return self.of_block(block.coordinates)


class CVAEDecoder(nn.Module):
    """g(z, c) = Decoder([z | e_c])"""

    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.of_block = Decoder(nz + (num_labels if conditional else 0), output_size)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        if self.conditional and c is None:
            raise ValueError("a conditional decoder needs labels: call it as decoder(z, c)")
        block = Code(z[:, None] if z.ndim == 2 else z)
        if self.conditional:
            block = block | idx2onehot(c, self.num_labels)[:, None]
        return self.of_block(block.coordinates)


class CVAE(nn.Module):
    """p(x, z|c) = p(x|z, c) N(z; 0, I), and the approximate posterior q(z|x, c)."""

    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        super().__init__()
        if conditional and num_labels < 1:
            raise ValueError(f"a conditional model needs at least 1 label, got {num_labels}")
        self.beta, self.conditional, self.num_labels = beta, conditional, num_labels
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return Gaussian(mu, log_sigma).draw().coordinates

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        q = self.encoder(x, c)
        z = self.reparameterize(*q.chunk(2, dim=-1))
        return {"q": q, "rec": self.decoder(z, c), "c": c}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        energy = free_energy(x, posterior(outputs["q"]), outputs["rec"], self.beta)
        return energy.total, energy.terms

    @torch.no_grad()
    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """g(E_q[z], c)"""
        z = posterior(self.encoder(x, c)).mean
        return self.decoder(z.coordinates, c).unflatten(-1, (SIDE, SIDE)).squeeze(1)


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Minimise the conditional free energy by Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    model.train()

    def energy(images: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        x = images.to(device).flatten(2)
        condition = (labels.to(device),) if model.conditional else ()
        return model.loss(x, model(x, *condition))

    trajectory = [
        descend(optimizer, lambda: energy(images, labels)) for _ in range(epochs) for images, labels in loader
    ]
    return {name: [terms[name] for terms in trajectory] for name in ("rec_loss", "kl_loss")}


@torch.no_grad()
def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    """x_i = g(z_i, c_i), with independent z_i ~ N(0, I)"""
    theta = next(model.parameters())
    prior = Gaussian.standard_like(theta.new_empty(len(labels), nz))
    images = model.decoder(prior.draw().coordinates, labels.to(theta.device))
    return images.reshape(len(labels), SIDE, SIDE)
