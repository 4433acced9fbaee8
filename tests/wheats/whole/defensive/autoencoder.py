"""Auto-encoder. Defensive edition."""
import copy
import logging
import math
import os
import tempfile
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

logger = logging.getLogger(__name__)
if not logger.handlers:
    _h = logging.StreamHandler()
    _h.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
    logger.addHandler(_h)
logger.setLevel(logging.INFO)
logger.propagate = False


def grad_norm(parameters) -> float:
    """Global gradient norm, without touching the gradients."""
    norms = [p.grad.detach().norm() for p in parameters if p.grad is not None]
    return float(torch.stack(norms).norm()) if norms else 0.0


class Checkpointer:
    """Saves state dict and whole model in a temp dir, keeps a deep copy of the best, cleans up afterwards."""

    def __init__(self, model: nn.Module, tag: str) -> None:
        self.model, self.tag = model, tag
        self.dir = tempfile.TemporaryDirectory(prefix=f"ckpt-{tag}-")
        self.best = math.inf
        self.best_model = None

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def save(self, epoch, optimizer, value):
        torch.save({"epoch": epoch, "model": self.model.state_dict(), "optim": optimizer.state_dict()},
                   self.path(f"{self.tag}_{epoch:03d}.pt"))
        back = torch.load(self.path(f"{self.tag}_{epoch:03d}.pt"), weights_only=True)
        assert back["model"].keys() == self.model.state_dict().keys(), "checkpoint is corrupt"
        torch.save(self.model, self.path(f"{self.tag}_full.pt"))
        full = torch.load(self.path(f"{self.tag}_full.pt"), weights_only=False)
        if value < self.best:
            self.best, self.best_model = value, copy.deepcopy(self.model)
            self.best_model.eval()

    def close(self):
        self.dir.cleanup()


class Encoder(nn.Module):
    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        assert isinstance(nz, int) and nz > 0, f"bad nz {nz}"
        assert isinstance(input_size, int) and input_size > 0
        self.nz, self.input_size = nz, input_size
        self.net = nn.Sequential(
            nn.Linear(input_size, 256), nn.ReLU(),
            nn.Linear(256, 64), nn.ReLU(),
            nn.Linear(64, nz),
        )

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] == self.input_size, f"expected {self.input_size} pixels, got {tuple(x.shape)}"
        assert x.dim() in (2, 3), "expected (N, size) or (N, 1, size)"
        out = self.net(x)
        assert out.shape[:-1] == x.shape[:-1]
        return out


class Decoder(nn.Module):
    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        self.nz, self.output_size = nz, output_size
        self.net = nn.Sequential(
            nn.Linear(nz, 64), nn.ReLU(),
            nn.Linear(64, 256), nn.ReLU(),
            nn.Linear(256, output_size), nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> Tensor:
        assert z.shape[-1] == self.nz, f"code has {z.shape[-1]} elements, not {self.nz}"
        if z.dim() == 2:
            z = z[:, None]
        assert z.dim() == 3 and z.shape[1] == 1
        out = self.net(z)
        if not self.training:
            assert bool(((out >= 0) & (out <= 1)).all())
        return out


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    if len(dataset) < batch_size:
        logger.warning("only %d examples for batches of %d: the loader is empty", len(dataset), batch_size)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=torch.utils.data.RandomSampler(dataset) if len(dataset) else None,
        num_workers=num_workers,
        drop_last=True,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=num_workers > 0,
        timeout=60 if num_workers > 0 else 0,
    )


class AutoEncoder(nn.Module):
    """An encoder followed by a decoder (given)."""

    def __init__(self, nz: int, image_size: int = 784) -> None:
        super().__init__()
        self.encoder = Encoder(nz, image_size)
        self.decoder = Decoder(nz, image_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        x_hat = self(x)
        side = math.isqrt(x_hat.shape[-1])
        return x_hat.reshape(len(x), side, side)


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    assert x_hat.numel() == x.numel(), f"{tuple(x_hat.shape)} does not match {tuple(x.shape)}"
    if torch.isnan(x_hat).any():
        logger.error("NaN in the reconstruction")
    target = x.detach().reshape(x_hat.shape).to(x_hat.dtype)
    loss = F.binary_cross_entropy(x_hat, target)
    assert loss.dim() == 0
    return loss


def train_autoencoder(model, loader, epochs, learning_rate, device="cpu"):
    assert epochs >= 0 and learning_rate > 0
    device = torch.device(device)
    params = [p for p in model.parameters() if p.requires_grad]
    assert params, "nothing to train"
    wrong = {p.device.type for p in params} - {device.type}
    if wrong:
        logger.warning("model on %s, not on %s", wrong, device)
    optimizer = torch.optim.Adam(params, lr=learning_rate)
    checkpoints = Checkpointer(model, "ae")
    losses: list[float] = []
    model.train()
    start = time.perf_counter()
    try:
        for epoch in range(epochs):
            first = len(losses)
            for step, (images, _) in enumerate(loader):
                images = images.to(device, non_blocking=True)
                x = images.flatten(start_dim=1).unsqueeze(1)
                optimizer.zero_grad(set_to_none=True)
                x_hat = model(x)
                loss = reconstruction_loss(x_hat, x)
                if not torch.isfinite(loss):
                    raise FloatingPointError(f"loss is {loss} in epoch {epoch}, step {step}")
                loss.backward()
                norm = grad_norm(params)
                if norm > 1e3:
                    logger.warning("exploding gradient: %.1f", norm)
                elif norm == 0:
                    logger.warning("vanished gradient")
                optimizer.step()
                losses.append(loss.item())
            mean = sum(losses[first:]) / max(1, len(losses) - first)
            logger.info("epoch %d: loss %.4f, grad norm %.4f, %.1f s", epoch + 1, mean, norm, time.perf_counter() - start)
            checkpoints.save(epoch, optimizer, mean)
    finally:
        checkpoints.close()
    return losses


def sample_images(model, num_samples, nz, device="cpu"):
    assert num_samples > 0 and nz > 0
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            z = torch.randn(num_samples, nz, device=device)
            images = model.decoder(z)
    finally:
        model.train(was_training)
    assert images.numel() == num_samples * 784
    assert not images.requires_grad
    return images.reshape(num_samples, 1, 28, 28)
