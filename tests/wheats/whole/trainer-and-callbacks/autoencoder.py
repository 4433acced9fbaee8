"""Problem 1, part 1.

I come from Lightning and Keras: a `Task` says what one step is, a `Trainer` runs it, `Callback`s watch. The three
training functions of the assignment are thin wrappers around `Trainer.fit`.
"""

import logging
import math
from collections import defaultdict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

log = logging.getLogger(__name__)

# --------------------------------------------------------------------------------------------- layers


def dense(n_in, units, activation=None):
    """keras.layers.Dense: Glorot uniform kernel, zero bias."""
    layer = nn.Linear(n_in, units)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    yield layer
    if activation is not None:
        yield {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}[activation]()


class Encoder(nn.Module):
    def __init__(self, nz: int, input_size: int, units=(256, 64)) -> None:
        super().__init__()
        self.hparams = {"nz": nz, "input_size": input_size, "units": units}
        self.net = nn.Sequential(
            *dense(input_size, units[0], "relu"), *dense(units[0], units[1], "relu"), *dense(units[1], nz)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Decoder(nn.Module):
    def __init__(self, nz: int, output_size: int, units=(64, 256)) -> None:
        super().__init__()
        self.hparams = {"nz": nz, "output_size": output_size, "units": units}
        self.net = nn.Sequential(
            *dense(nz, units[0], "relu"),
            *dense(units[0], units[1], "relu"),
            *dense(units[1], output_size, "sigmoid"),
        )

    def forward(self, z: Tensor) -> Tensor:
        flat = self.net(z.reshape(-1, self.hparams["nz"]))
        return flat.reshape(-1, 1, self.hparams["output_size"])


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    options = dict(batch_size=batch_size, num_workers=num_workers)
    options.update(shuffle=True, drop_last=True)
    return DataLoader(dataset, **options)


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
    target = x.reshape(*x_hat.shape)
    per_pixel = F.binary_cross_entropy(x_hat, target, reduction="none")
    return per_pixel.mean(dim=-1).mean()  # keras: the last axis, then the batch


# --------------------------------------------------------------------------------------------- training


class Callback:
    def on_fit_start(self, trainer): ...
    def on_epoch_start(self, trainer, epoch): ...
    def on_batch_end(self, trainer, logs): ...
    def on_epoch_end(self, trainer, epoch): ...
    def on_fit_end(self, trainer): ...


class History(Callback):
    """Every metric of every batch."""

    def on_fit_start(self, trainer):
        self.metrics = defaultdict(list)

    def on_batch_end(self, trainer, logs):
        for name, value in logs.items():
            self.metrics[name].append(float(value))


class EpochLogger(Callback):
    def __init__(self):
        self.seen = []

    def on_epoch_start(self, trainer, epoch):
        self.seen.clear()

    def on_batch_end(self, trainer, logs):
        self.seen.append({name: float(value) for name, value in logs.items()})

    def on_epoch_end(self, trainer, epoch):
        if self.seen:
            log.info("epoch %d: %s", epoch, self.seen[-1])


class Task:
    """What the trainer needs to know about a model (a LightningModule without the module)."""

    def __init__(self, model, learning_rate):
        self.model = model
        self.learning_rate = learning_rate

    def configure_optimizers(self):
        return torch.optim.Adam(params=self.model.parameters(), lr=self.learning_rate)

    def transfer_batch(self, batch, device):
        x, y = batch
        return x.to(device).reshape(x.shape[0], 1, -1), y

    def training_step(self, batch):
        """-> the loss to minimise, and the metrics to log"""
        raise NotImplementedError


class AutoEncoderTask(Task):
    def training_step(self, batch):
        x, _ = batch
        loss = reconstruction_loss(self.model(x), x)
        return loss, {"loss": loss}


class Trainer:
    def __init__(self, max_epochs, device, callbacks=()):
        self.max_epochs = max_epochs
        self.device = torch.device(device)
        self.callbacks = list(callbacks)
        self.global_step = 0

    def _call(self, hook, *args):
        for callback in self.callbacks:
            getattr(callback, hook)(self, *args)

    def fit(self, task, loader):
        optimizer = task.configure_optimizers()
        self._call("on_fit_start")
        for epoch in range(self.max_epochs):
            task.model.train()
            self._call("on_epoch_start", epoch)
            for batch in tqdm(loader, desc=f"epoch {epoch}", leave=False, disable=None):
                with torch.enable_grad():
                    loss, logs = task.training_step(task.transfer_batch(batch, self.device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                self.global_step += 1
                self._call("on_batch_end", {name: value.detach() for name, value in logs.items()})
            self._call("on_epoch_end", epoch)
        self._call("on_fit_end")
        return self


def fit_and_report(task, loader, epochs, device):
    history = History()
    Trainer(epochs, device, callbacks=[history, EpochLogger()]).fit(task, loader)
    return history.metrics


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> list[float]:
    return fit_and_report(AutoEncoderTask(model, learning_rate), loader, epochs, device)["loss"]


def sample_images(model: nn.Module, num_samples: int, nz: int, device: torch.device | str = "cpu") -> Tensor:
    was_training = model.training
    model.eval()
    with torch.no_grad():
        z = torch.randn((num_samples, nz), device=device)
        images = model.decoder(z).reshape(num_samples, 1, 28, 28)
    model.train(was_training)
    return images
