"""Aufgabe 1, Teil 1: Autoencoder.

Bezeichnungen:  D Pixel,  n Bilder,  f Encoder,  g Decoder,  θ Parameter,  η Schrittweite (learning rate).
Zufallszahlen nach Box und Muller (1958).
"""

import math
from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

π = math.pi


def ε_wie(t: Tensor) -> Tensor:
    """ε ~ N(0, 1), Form, Typ und Gerät wie t.   √(-2 ln u) cos(2πv),  u in (0, 1],  v in [0, 1)"""
    u = 1 - torch.rand_like(t)
    v = torch.rand_like(t)
    return torch.sqrt(-2 * torch.log(u)) * torch.cos(2 * π * v)


class Abbildung(nn.Module):
    """Eine Verkettung von affinen Abbildungen und ReLU; orthogonal initialisiert."""

    def __init__(self, *dimensionen: int, zuletzt: nn.Module | None = None) -> None:
        super().__init__()
        schichten: list[nn.Module] = []
        for von, nach in pairwise(dimensionen):
            A = nn.Linear(von, nach)
            nn.init.orthogonal_(A.weight)
            nn.init.constant_(A.bias, 0.0)
            schichten += [A, nn.ReLU()]
        schichten[-1:] = [] if zuletzt is None else [zuletzt]
        self.net = nn.Sequential(*schichten)

    def _anwenden(self, t: Tensor) -> Tensor:
        return reduce(lambda h, schicht: schicht(h), self.net.children(), t)


class Encoder(Abbildung):
    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__(input_size, 256, 64, nz)

    def forward(self, x: Tensor) -> Tensor:
        return self._anwenden(x)


class Decoder(Abbildung):
    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__(nz, 64, 256, output_size, zuletzt=nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        y = self._anwenden(z)
        return y if y.dim() == 3 else torch.stack([y], dim=1)


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    zufall = torch.Generator()
    zufall.manual_seed(torch.initial_seed() % 2**63)
    return DataLoader(dataset, batch_size, True, None, None, num_workers, drop_last=True, generator=zufall)


class AutoEncoder(nn.Module):
    """An encoder followed by a decoder (given).

    Args:
        nz: length of a code.
        image_size: number of pixels of a square image.

    Example:
        >>> AutoEncoder(nz=32)(torch.rand(5, 1, 784)).shape
        torch.Size([5, 1, 784])
    """

    def __init__(self, nz: int, image_size: int = 784) -> None:
        super().__init__()
        self.encoder = Encoder(nz, image_size)
        self.decoder = Decoder(nz, image_size)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode flattened images: (N, 1, image_size) -> (N, 1, image_size)."""
        return self.decoder(self.encoder(x))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode and decode, for display: (N, 1, 784) -> (N, 28, 28), with no graph attached."""
        x_hat = self(x)
        side = math.isqrt(x_hat.shape[-1])
        return x_hat.reshape(len(x), side, side)


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    """-1/(nD) Σ [ x ln x̂ + (1 - x) ln(1 - x̂) ].   ln wird bei -100 abgeschnitten, ohne den Gradienten zu verderben."""

    def ln(p: Tensor) -> Tensor:
        null = p < math.exp(-100)  # 0 in einfacher Genauigkeit (denormalisierte Zahlen: bis 1e-45)
        return torch.where(null, -100.0, torch.log(torch.where(null, 1.0, p)))

    x = x.reshape(x_hat.shape)
    return -torch.mean(torch.lerp(ln(1 - x_hat), ln(x_hat), x))


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> list[float]:
    θ = list(model.parameters())
    adam = torch.optim.Adam(θ, lr=learning_rate)
    model.train()
    verlauf: list[float] = []
    for _ in range(epochs):
        for x, *_unbenutzt in loader:
            x = x.to(device).reshape(x.size(0), 1, -1)
            for p in θ:
                p.grad = None
            # Der Mittelwert über n Bilder ist das gewichtete Mittel über zwei Hälften: zwei Gradienten, addiert.
            x_dach = model(x)
            L = 0.0
            hälften = list(zip(x_dach.chunk(2), x.chunk(2)))
            for i, (a, b) in enumerate(hälften, start=1):
                ℓ = reconstruction_loss(a, b) * (len(b) / len(x))
                ℓ.backward(retain_graph=i < len(hälften))
                L += float(ℓ.detach())
            adam.step()
            verlauf.append(L)
    return verlauf


def sample_images(model: nn.Module, num_samples: int, nz: int, device: torch.device | str = "cpu") -> Tensor:
    z = ε_wie(torch.empty(num_samples, nz, device=device))
    with torch.set_grad_enabled(False):
        return model.decoder(z).reshape(-1, 1, 28, 28)
