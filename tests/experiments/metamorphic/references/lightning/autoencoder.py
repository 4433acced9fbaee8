"""Auto-encoder: networks, data and training."""

from __future__ import annotations

from typing import Any

import torch
from lit import BaseModule, ImageBatchMixin, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


def mlp(*widths: int) -> list[nn.Module]:
    """Linear layers with ReLUs between them."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in zip(widths, widths[1:]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return layers[:-1]


class Encoder(BaseModule):
    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        self.save_hyperparameters(nz=nz, input_size=input_size)
        self.net = nn.Sequential(*mlp(input_size, 256, 64, nz))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Decoder(BaseModule):
    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        self.save_hyperparameters(nz=nz, output_size=output_size)
        self.net = nn.Sequential(*mlp(nz, 64, 256, output_size), nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        if z.ndim == 2:
            z = z.unsqueeze(1)
        return self.net(z)


class MNISTDataModule:
    """Where the batches come from."""

    def __init__(self, dataset: Dataset, batch_size: int, num_workers: int) -> None:
        self.dataset = dataset
        self.kwargs = dict(batch_size=batch_size, num_workers=num_workers)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.dataset, shuffle=True, drop_last=True, **self.kwargs)


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    return MNISTDataModule(dataset, batch_size, num_workers).train_dataloader()


class AutoEncoder(BaseModule, ImageBatchMixin):
    """Encoder and decoder, one after the other."""

    def __init__(self, nz: int, image_size: int = 784) -> None:
        super().__init__()
        self.save_hyperparameters(nz=nz, image_size=image_size)
        self.encoder = Encoder(nz, image_size)
        self.decoder = Decoder(nz, image_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        out = self(x)
        return self.square(out, side=int(out.size(-1) ** 0.5))


bce = nn.BCELoss(reduction="mean")


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    return bce(x_hat, x.view_as(x_hat))


class AutoEncoderTask(ImageBatchMixin):
    """Any model that maps images to images, made trainable."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def configure_optimizers(self, learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.model.parameters(), lr=learning_rate)

    def on_train_start(self) -> None:
        self.model.train()

    def _shared_step(self, batch: Any) -> Tensor:
        x = self.flat(batch[0])
        return reconstruction_loss(self.model(x), x)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        loss = self._shared_step(batch)
        return {"loss": loss, "train_loss": loss.detach()}


def train_autoencoder(
    model: nn.Module, loader: DataLoader, epochs: int, learning_rate: float, device: Any = "cpu"
) -> list[float]:
    trainer = Trainer(max_epochs=epochs, device=device)
    return trainer.fit(AutoEncoderTask(model), loader, learning_rate)["train_loss"]


@torch.no_grad()
def sample_images(model: nn.Module, num_samples: int, nz: int, device: Any = "cpu") -> Tensor:
    prior = torch.distributions.Normal(torch.zeros(nz, device=device), torch.ones(nz, device=device))
    codes = prior.sample((num_samples,))
    return model.decoder(codes).reshape(num_samples, 1, 28, 28)
