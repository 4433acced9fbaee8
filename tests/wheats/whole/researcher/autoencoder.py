"""Problem 1, part 1: an auto-encoder for MNIST."""

import copy
import logging
import math
import random
import sys
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler
from tqdm import tqdm

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Config:
    hidden: tuple[int, ...] = (256, 64)
    image_shape: tuple[int, int, int] = (1, 28, 28)
    seed: int = 3407
    ema_decay: float = 0.999
    amp: bool = False


CFG = Config()


class AverageMeter:
    """Computes and stores the average and current value."""

    def __init__(self, name: str, fmt: str = ":.4f") -> None:
        self.name, self.fmt = name, fmt
        self.reset()

    def reset(self) -> None:
        self.val = self.avg = self.sum = 0.0
        self.count = 0

    def update(self, val: float, n: int = 1) -> None:
        self.val = val
        self.sum += val * n
        self.count += n
        self.avg = self.sum / self.count

    def __str__(self) -> str:
        return ("{name} {val" + self.fmt + "} ({avg" + self.fmt + "})").format(**self.__dict__)


class EMA:
    """Exponential moving average of a model's weights. For monitoring only, never copied back."""

    def __init__(self, model: nn.Module, decay: float = CFG.ema_decay) -> None:
        self.decay = decay
        self.module = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        for ema_p, p in zip(self.module.parameters(), model.parameters(), strict=True):
            ema_p.lerp_(p.detach(), 1.0 - self.decay)

    @torch.no_grad()
    def distance(self, model: nn.Module) -> float:
        return math.sqrt(sum((a - b).square().sum().item() for a, b in zip(self.module.parameters(), model.parameters())))


def grad_norm(model: nn.Module) -> float:
    """Total gradient norm (an infinite threshold clips nothing)."""
    return float(nn.utils.clip_grad_norm_(model.parameters(), max_norm=float("inf")))


def check_finite(loss: Tensor, step: int) -> None:
    if not torch.isfinite(loss).all():
        raise FloatingPointError(f"loss is {loss.item()} at step {step}")


class MLP(nn.Module):
    """Fully connected network with named layers: fc1, act1, fc2, act2, fc3[, out]."""

    def __init__(self, dims: tuple[int, ...], out: nn.Module | None = None) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (d_in, d_out) in enumerate(zip(dims[:-1], dims[1:]), start=1):
            layers[f"fc{i}"] = nn.Linear(d_in, d_out)
            if i < len(dims) - 1:
                layers[f"act{i}"] = nn.ReLU()
        if out is not None:
            layers["out"] = out
        self.net = nn.Sequential(layers)


class Encoder(MLP):
    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__((input_size, *CFG.hidden, nz))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Decoder(MLP):
    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__((nz, *CFG.hidden[::-1], output_size), out=nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        if z.ndim == 2:
            z = z.unsqueeze(1)
        assert z.ndim == 3 and z.shape[1] == 1, f"expected codes (N, nz) or (N, 1, nz), got {tuple(z.shape)}"
        return self.net(z)


def _seed_worker(worker_id: int) -> None:
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    random.seed(seed)


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    # Own generator: the order of the data does not depend on how many random numbers the model consumed.
    generator = torch.Generator().manual_seed(CFG.seed)
    sampler = RandomSampler(dataset, generator=generator)
    return DataLoader(
        dataset,
        batch_sampler=BatchSampler(sampler, batch_size, drop_last=True),
        num_workers=num_workers,
        worker_init_fn=_seed_worker,
        generator=generator,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=num_workers > 0,
    )


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
    """Bernoulli negative log-likelihood, averaged over pixels and batch."""
    x = x.reshape(x_hat.shape)
    # log(0) never happens: float32's smallest normal number below, the largest number under 1 above.
    log_p = x_hat.clamp(min=torch.finfo(x_hat.dtype).tiny).log()
    log_not_p = torch.log1p(-x_hat.clamp(max=1 - torch.finfo(x_hat.dtype).eps / 2))
    nll = -(x * log_p + (1 - x) * log_not_p)
    return nll.flatten(1).mean(dim=1).mean()  # per image, then over the batch


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
    *,
    log_every: int = 100,
) -> list[float]:
    device = torch.device(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scaler = torch.amp.GradScaler(device.type, enabled=CFG.amp)
    ema = EMA(model)
    losses: list[float] = []
    global_step = 0

    for epoch in range(epochs):
        model.train()
        loss_meter, norm_meter = AverageMeter("loss"), AverageMeter("|g|", ":.2e")
        progress = tqdm(loader, desc=f"[AE] {epoch + 1}/{epochs}", leave=False, disable=not sys.stderr.isatty())
        for images, _ in progress:
            x = images.to(device, non_blocking=True).flatten(2)

            with torch.autocast(device.type, enabled=CFG.amp):
                x_hat = model(x)
            loss = reconstruction_loss(x_hat.float(), x)
            check_finite(loss, global_step)

            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            norm_meter.update(grad_norm(model))
            scaler.step(optimizer)
            scaler.update()
            ema.update(model)

            loss_meter.update(loss.item(), n=len(x))
            losses.append(loss_meter.val)
            global_step += 1
            if global_step % log_every == 0:
                progress.set_postfix_str(f"{loss_meter} {norm_meter}")
        logger.info("epoch %d: %s %s, distance to EMA %.3f", epoch + 1, loss_meter, norm_meter, ema.distance(model))
    return losses


@torch.no_grad()
def sample_images(
    model: nn.Module,
    num_samples: int,
    nz: int,
    device: torch.device | str = "cpu",
    temperature: float = 1.0,
) -> Tensor:
    prior = torch.distributions.Normal(torch.zeros(nz, device=device), torch.ones(nz, device=device))
    z = temperature * prior.sample((num_samples,))  # (num_samples, nz)
    return model.decoder(z).reshape(-1, *CFG.image_shape)
