"""Problem 1, part 3."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, fit_and_report
from vae import VAE, VAETask

IMAGE_SIZE = 784


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    """keras.utils.to_categorical, with checks."""
    problems = []
    if idx.dtype.is_floating_point or idx.dtype.is_complex or idx.dtype is torch.bool:
        problems.append(f"dtype {idx.dtype} is not an integer type")
    elif idx.ndim == 0 or idx.ndim > 2 or (idx.ndim == 2 and idx.size(-1) != 1):
        problems.append(f"shape {list(idx.shape)} is neither (N,) nor (N, 1)")
    elif idx.numel():
        low, high = idx.long().aminmax()
        if low < 0 or high >= n:
            problems.append(f"labels {int(low)}..{int(high)} are not all in 0..{n - 1}")
    if problems:
        raise ValueError("; ".join(problems))
    return F.one_hot(idx.long().flatten(), n).float()


class ConcatLabels(nn.Module):
    """A keras `Concatenate` layer that converts the labels first. Without labels, it is the identity."""

    def __init__(self, num_labels, enabled):
        super().__init__()
        self.num_labels = num_labels
        self.enabled = enabled

    def forward(self, t, c):
        if not self.enabled:
            return t
        if c is None:
            raise ValueError("this network is conditional and needs labels")
        onehot = idx2onehot(c, self.num_labels).to(t.dtype)
        return torch.cat([t.reshape(len(t), 1, t.shape[-1]), onehot.unsqueeze(1)], dim=2)


class CVAEEncoder(nn.Module):
    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.concat = ConcatLabels(num_labels, conditional)
        self.encoder = Encoder(nz, input_size + num_labels * int(conditional))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return self.encoder(self.concat(x, c))


class CVAEDecoder(nn.Module):
    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.concat = ConcatLabels(num_labels, conditional)
        self.decoder = Decoder(nz + num_labels * int(conditional), output_size)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.decoder(self.concat(z, c))


class CVAE(nn.Module):
    """Has a VAE (`loss` and the sampling layer are the VAE's) whose networks are replaced."""

    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        super().__init__()
        if conditional and num_labels < 1:
            raise ValueError(f"conditional=True needs num_labels >= 1, got {num_labels}")
        self.nz = nz
        self.conditional = conditional
        self.num_labels = num_labels
        self.vae = VAE(nz, beta)
        self.vae.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.vae.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    # the attributes of the contract, delegated
    encoder = property(lambda self: self.vae.encoder)
    decoder = property(lambda self: self.vae.decoder)
    beta = property(lambda self: self.vae.beta, lambda self, value: setattr(self.vae, "beta", value))

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return self.vae.reparameterize(mu, log_sigma)

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        q = self.encoder(x, c)
        z = self.vae.sampling(q.split(self.nz, dim=-1))
        return {"q": q, "rec": self.decoder(z, c), "c": c}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.vae.loss(x, outputs)

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        with torch.no_grad():
            return self.decoder(self.encoder(x, c)[..., : self.nz], c).view(-1, 28, 28)


class CVAETask(VAETask):
    def transfer_batch(self, batch, device):
        x, c = super().transfer_batch(batch, device)
        return x, (c.to(device) if self.model.conditional else None)

    def predict(self, batch):
        x, c = batch
        return self.model(x) if c is None else self.model(x, c)


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    metrics = fit_and_report(CVAETask(model, learning_rate), loader, epochs, device)
    return {key: metrics[key] for key in ("rec_loss", "kl_loss")}


def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    weight = next(model.parameters())
    z = weight.new_empty((len(labels), nz)).normal_()
    was_training = model.training
    model.eval()
    with torch.no_grad():
        images = model.decoder(z, labels.to(weight.device)).reshape(len(labels), 28, 28)
    model.train(was_training)
    return images
