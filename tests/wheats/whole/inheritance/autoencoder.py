"""Auto-encoder. One base class for all networks, whose subclasses only declare things."""

import math
from typing import Callable, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


class MLP(nn.Module):
    """Lazy linear layers of the declared widths. A dry run in the constructor makes them ordinary ones."""

    widths: ClassVar[tuple[int, ...]]
    final: ClassVar[tuple[type[nn.Module], ...]] = ()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "widths"):
            raise TypeError(f"{cls.__name__} declares no widths")

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.n_in, self.n_out = n_in, n_out
        hidden = [layer for w in self.widths for layer in (nn.LazyLinear(w), nn.ReLU())]
        self.net = nn.Sequential(*hidden, nn.LazyLinear(n_out), *(make() for make in self.final))
        with torch.no_grad():
            self.net(torch.zeros(1, n_in))

    def extra_repr(self) -> str:
        return f"{self.n_in} -> {self.n_out}"


class Encoder(MLP):
    widths = (256, 64)

    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__(input_size, nz)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Decoder(MLP):
    widths = Encoder.widths[::-1]
    final = (nn.Sigmoid,)

    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__(nz, output_size)

    def forward(self, z: Tensor) -> Tensor:
        if z.dim() < 3:
            z = z.unsqueeze(-2)
        return self.net(z)


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=torch.utils.data.SubsetRandomSampler(range(len(dataset))),
        drop_last=True,
        num_workers=num_workers,
    )


class AutoEncoder(nn.Module):
    """An encoder followed by a decoder. (The given class, with `encode` and `decode` as hooks for subclasses.)"""

    def __init__(self, nz: int, image_size: int = 784) -> None:
        super().__init__()
        self.encoder = Encoder(nz, image_size)
        self.decoder = Decoder(nz, image_size)

    def encode(self, x: Tensor, *context) -> Tensor:
        """The code that represents x best."""
        return self.encoder(x, *context)

    def decode(self, z: Tensor, *context) -> Tensor:
        return self.decoder(z, *context)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    @torch.no_grad()
    def reconstruct(self, x: Tensor, *context) -> Tensor:
        x_hat = self.decode(self.encode(x, *context), *context)
        side = math.isqrt(x_hat.shape[-1])
        return x_hat.reshape(len(x), side, side)


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    rows = [F.binary_cross_entropy(a, b.reshape(a.shape), reduction="sum") for a, b in zip(x_hat, x)]
    return torch.stack(rows).sum() / x_hat.numel()


def fit(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str,
    objective: Callable[..., tuple[Tensor, dict[str, Tensor]]],
    *names: str,
) -> dict[str, list[float]]:
    """objective(x, labels) -> the loss, and what to record. `names`: the keys of the history."""
    history = {name: [] for name in names}
    optimizer = None
    for _ in range(epochs):
        model.train()
        optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=learning_rate)
        for images, labels in loader:
            images = images.to(device)
            loss, record = objective(images.reshape(images.shape[0], 1, images[0].numel()), labels)
            model.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for name in names:
                    history[name].append(float(record[name]))
    return history


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> list[float]:
    def objective(x, labels):
        loss = reconstruction_loss(model(x), x)
        return loss, {"loss": loss}

    return fit(model, loader, epochs, learning_rate, device, objective, "loss").pop("loss")


@torch.no_grad()
def sample_images(model: nn.Module, num_samples: int, nz: int, device: torch.device | str = "cpu") -> Tensor:
    codes = torch.distributions.Normal(
        torch.tensor(0.0, device=device), torch.tensor(1.0, device=device)
    ).sample((num_samples, nz))
    return model.decoder(codes).reshape(num_samples, 1, 28, 28)
