"""Problem 1, part 3: a conditional VAE (CVAE) for MNIST."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder
from vae import IMAGE_SIZE, VAE, train_vae


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    if idx.dtype.is_floating_point or idx.dtype.is_complex or idx.dtype == torch.bool or idx.shape not in (idx.shape[:1] + (1,) * k for k in (0, 1)) or not idx.ndim:
        raise ValueError(f"not labels: {idx.dtype}, {[*idx.shape]}")
    if not (onehot := idx.long().reshape(-1, 1) == torch.arange(n, device=idx.device)).any(1).all():
        raise ValueError(f"labels must be in 0..{n - 1}")
    return onehot.to(torch.float32)


class Conditional(nn.Module):
    def __init__(self, make, nz, size, conditional, num_labels):
        super().__init__()
        self.conditional, self.num_labels, self.layers = conditional, num_labels, make(nz, size)

    def run(self, x, c):
        if self.conditional and c is None:
            raise ValueError("a conditional network needs labels")
        return self.layers(torch.cat((x.flatten(1), idx2onehot(c, self.num_labels)), 1)[:, None] if self.conditional else x)


class CVAEEncoder(Conditional):
    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__(Encoder, nz, input_size + conditional * num_labels, conditional, num_labels)

    forward = lambda self, x, c=None: self.run(x, c)


class CVAEDecoder(Conditional):
    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__(Decoder, nz + conditional * num_labels, output_size, conditional, num_labels)

    forward = lambda self, z, c=None: self.run(z, c)


class CVAE(VAE):
    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        if conditional and num_labels < 1:
            raise ValueError("no labels")
        super().__init__(nz, beta)
        self.conditional, self.num_labels = labels = conditional, num_labels
        self.encoder, self.decoder = CVAEEncoder(2 * nz, IMAGE_SIZE, *labels), CVAEDecoder(nz, IMAGE_SIZE, *labels)

    forward = lambda self, x, c=None: {"q": (q := self.encoder(x, c)), "rec": self.decoder(self.reparameterize(*q.chunk(2, -1)), c), "c": c}
    reconstruct = lambda self, x, c=None: super(CVAE, self).reconstruct(x, c)


train_cvae = lambda model, loader, epochs, learning_rate, device="cpu": train_vae(model, loader, epochs, learning_rate, device, model.conditional)


@torch.no_grad()
def sample_conditional(model, labels, nz) -> Tensor:
    z = torch.randn(len(labels), nz, device=(device := next(model.parameters()).device))
    return model.decoder(z, labels.to(device)).reshape(-1, 28, 28)
