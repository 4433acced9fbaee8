"""Problem 1, part 3: a conditional VAE (CVAE) for MNIST, from the layers of part 1."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Affine, Rectifier, Squash, as_rows, reconstruction_loss
from vae import halves

IMAGE_SIZE = 784


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    """Labels (N,) or (N, 1) -> rows of the identity matrix, (N, n) float32."""
    if idx.is_floating_point() or idx.is_complex() or idx.dtype == torch.bool:
        raise ValueError(f"labels are integers, not {idx.dtype}")
    if idx.ndim not in (1, 2) or (idx.ndim == 2 and idx.shape[1] != 1):
        raise ValueError(f"labels are (N,) or (N, 1), not {tuple(idx.shape)}")
    rows = idx.reshape(idx.shape[0]).long()
    if ((rows < 0) | (rows >= n)).any():
        raise ValueError(f"labels are 0 to {n - 1}")
    return torch.eye(n, device=idx.device, dtype=torch.float32)[rows]


class AffineWithLabels(Affine):
    """Affine(main + labels, outputs) of [main, one-hot labels], without building the long vector.

    A matrix times a concatenation is the sum of the two products with its column blocks. The whole matrix is one
    parameter.
    """

    def __init__(self, main: int, labels: int, outputs: int) -> None:
        super().__init__(main + labels, outputs)
        self.main = main

    def forward(self, x: Tensor, onehot: Tensor | None = None) -> Tensor:
        if onehot is None:
            return super().forward(x)
        y = F.linear(x, self.weight[:, : self.main], self.bias)
        return y + F.linear(onehot, self.weight[:, self.main :])


class _Conditional(nn.Module):
    """What the encoder and the decoder have in common: two hidden layers, labels into the first."""

    def __init__(self, sizes: tuple[int, int, int, int], conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        inputs, hidden1, hidden2, outputs = sizes
        self.first = AffineWithLabels(inputs, num_labels if conditional else 0, hidden1)
        self.rest = nn.Sequential(Rectifier(), Affine(hidden1, hidden2), Rectifier(), Affine(hidden2, outputs))

    def propagate(self, x: Tensor, c: Tensor | None) -> Tensor:
        if not self.conditional:
            return self.rest(self.first(x))
        if c is None:
            raise ValueError(f"a conditional {type(self).__name__} needs labels")
        onehot = idx2onehot(c, self.num_labels).to(x)  # x's device and dtype
        return self.rest(self.first(x, onehot.reshape(*x.shape[:-1], self.num_labels)))


class CVAEEncoder(_Conditional):
    """[x, onehot(c)] -> nz numbers."""

    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__((input_size, 256, 64, nz), conditional, num_labels)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        code = self.propagate(x, c)
        return code.reshape(len(x), 1, code.shape[-1])


class CVAEDecoder(_Conditional):
    """[z, onehot(c)] -> pixels."""

    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__((nz, 64, 256, output_size), conditional, num_labels)
        self.rest.append(Squash())

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        pixels = self.propagate(z, c)
        return pixels.reshape(len(z), 1, pixels.shape[-1])


class CVAE(nn.Module):
    """A VAE that receives the labels when it is conditional; a plain VAE when it is not."""

    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        if conditional and num_labels < 1:
            raise ValueError(f"a conditional CVAE needs at least one class, not {num_labels}")
        super().__init__()
        self.beta, self.conditional, self.num_labels = beta, conditional, num_labels
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        """mu + exp(log_sigma) * eps."""
        eps = torch.empty_like(mu, requires_grad=False).normal_()
        return torch.addcmul(mu, log_sigma.exp(), eps)

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        q = self.encoder(x, c)
        mu, log_sigma = halves(q)
        return {"c": c, "q": q, "rec": self.decoder(self.reparameterize(mu, log_sigma), c)}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """As in the VAE, but with the divergence from N(0, 1) simplified by hand."""
        mu, log_sigma = halves(outputs["q"])
        kl = 0.5 * (mu.square() + torch.expm1(2 * log_sigma)) - log_sigma
        kl_loss = kl.mean()
        rec_loss = reconstruction_loss(outputs["rec"], x)
        return rec_loss + self.beta * kl_loss, {"rec_loss": rec_loss, "kl_loss": kl_loss}

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Decode the mean of q(z|x, c), with the same labels."""
        with torch.no_grad():
            mu, _ = halves(self.encoder(x, c))
            return self.decoder(mu, c).reshape(-1, 28, 28)


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Train a CVAE in place; the labels go along when the model is conditional."""
    history: dict[str, list[float]] = {"rec_loss": [], "kl_loss": []}
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    model.train()
    for _ in range(epochs):
        for images, labels in loader:
            rows = as_rows(images.to(device))
            arguments = (rows, labels.to(device)) if model.conditional else (rows,)

            def closure() -> Tensor:
                optimizer.zero_grad()
                total, parts = model.loss(rows, model(*arguments))
                total.backward()
                for name, values in history.items():
                    values.append(parts[name].item())
                return total

            optimizer.step(closure)
    return history


def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    """One new image per label."""
    like = next(model.parameters())
    codes = like.new_empty((len(labels), nz), requires_grad=False).normal_()
    with torch.no_grad():
        return model.decoder(codes, labels.to(like.device)).reshape(len(labels), 28, 28)
