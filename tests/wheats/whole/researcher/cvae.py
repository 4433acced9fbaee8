"""Problem 1, part 3: a conditional VAE (CVAE) for MNIST."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder
from vae import VAE, fit

IMAGE_SIZE = 784

_INTEGER_TYPES = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
_INTEGER_TYPES |= {getattr(torch, name) for name in ("uint16", "uint32", "uint64") if hasattr(torch, name)}


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    if idx.dtype not in _INTEGER_TYPES:
        raise ValueError(f"labels must have an integer dtype, got {idx.dtype}")
    if idx.ndim == 2 and idx.shape[1] == 1:
        idx = idx.squeeze(1)
    if idx.ndim != 1:
        raise ValueError(f"labels must be (N,) or (N, 1), got {tuple(idx.shape)}")
    idx = idx.long()
    if idx.numel() and (idx.min() < 0 or idx.max() >= n):
        raise ValueError(f"labels must lie in [0, {n}), got {idx.min().item()} to {idx.max().item()}")
    return torch.eye(n, dtype=torch.float32, device=idx.device)[idx]


class CVAEEncoder(Encoder):
    """Is an Encoder: the labels just widen the input."""

    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__(nz, input_size + num_labels if conditional else input_size)
        self.conditional = conditional
        self.num_labels = num_labels

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        if self.conditional:
            if c is None:
                raise ValueError("a conditional encoder needs labels: call it as encoder(x, c)")
            onehot = idx2onehot(c, self.num_labels)
            x = torch.cat([x, onehot.reshape(*x.shape[:-1], self.num_labels)], dim=-1)
        return super().forward(x)


class CVAEDecoder(Decoder):
    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__(nz + num_labels if conditional else nz, output_size)
        self.conditional = conditional
        self.num_labels = num_labels

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        if self.conditional:
            if c is None:
                raise ValueError("a conditional decoder needs labels: call it as decoder(z, c)")
            onehot = idx2onehot(c, self.num_labels)
            z = torch.cat([z, onehot.reshape(*z.shape[:-1], self.num_labels)], dim=-1)
        return super().forward(z)


class CVAE(VAE):
    """Reuses `reparameterize` and `loss` of the VAE."""

    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        if conditional and num_labels < 1:
            raise ValueError(f"a conditional model needs num_labels >= 1, got {num_labels}")
        nn.Module.__init__(self)  # not VAE's, which would build networks that are thrown away
        self.nz = nz
        self.beta = beta
        self.conditional = conditional
        self.num_labels = num_labels
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        q = self.encoder(x, c)
        z = self.reparameterize(*q.chunk(2, dim=-1))
        return dict(rec=self.decoder(z, c), q=q, c=c)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        mu, _ = self.encoder(x, c).chunk(2, dim=-1)
        return self.decoder(mu, c).reshape(-1, 28, 28)


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    def forward_fn(batch: list[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        images, labels = batch
        x = images.to(device, non_blocking=True).reshape(-1, 1, IMAGE_SIZE)
        c = labels.to(device, non_blocking=True) if model.conditional else None
        return model.loss(x, model(x, c))

    return fit(model, loader, epochs, learning_rate, forward_fn, "[CVAE]")


@torch.no_grad()
def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    device = next(model.parameters()).device
    labels = labels.to(device)
    z = torch.normal(mean=0.0, std=1.0, size=(labels.shape[0], nz), device=device)
    return model.decoder(z, labels).reshape(-1, 28, 28)
