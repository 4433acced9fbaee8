"""CVAE, defensive edition."""
import copy
import io
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoencoder import Checkpointer, Decoder, Encoder, grad_norm, logger, reconstruction_loss
from vae import VAE, kl_divergence

IMAGE_SIZE = 784


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    if not isinstance(idx, Tensor):
        raise TypeError(f"labels must be a tensor, not {type(idx)}")
    if idx.is_floating_point() or idx.is_complex() or idx.dtype == torch.bool:
        raise ValueError(f"labels of dtype {idx.dtype}")
    if not (idx.dim() == 1 or (idx.dim() == 2 and idx.shape[1] == 1)):
        raise ValueError(f"labels of shape {tuple(idx.shape)}")
    flat = idx.reshape(-1).long()
    if flat.numel() and not (0 <= int(flat.min()) and int(flat.max()) < n):
        raise ValueError(f"labels outside 0..{n - 1}: {flat.min()}..{flat.max()}")
    out = F.one_hot(flat, n).to(torch.float32)
    assert out.shape == (len(idx), n)
    assert bool((out.sum(1) == 1).all())
    return out


def _append(x, c, n):
    onehot = idx2onehot(c.to(x.device), n).to(x.dtype)
    assert len(onehot) == len(x), f"{len(x)} rows but {len(onehot)} labels"
    return torch.cat([x, onehot.reshape(*x.shape[:-1], n)], dim=-1)


class CVAEEncoder(nn.Module):
    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.enc = Encoder(nz, input_size + (num_labels if conditional else 0))

    def forward(self, x, c=None):
        if self.conditional and c is None:
            raise ValueError("a conditional encoder needs labels: call it as encoder(x, c)")
        return self.enc(_append(x, c, self.num_labels) if self.conditional else x)


class CVAEDecoder(nn.Module):
    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.dec = Decoder(nz + (num_labels if conditional else 0), output_size)

    def forward(self, z, c=None):
        if self.conditional and c is None:
            raise ValueError("a conditional decoder needs labels: call it as decoder(z, c)")
        return self.dec(_append(z, c, self.num_labels) if self.conditional else z)


class CVAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        super().__init__()
        if conditional and num_labels < 1:
            raise ValueError(f"a conditional model needs at least one label, got {num_labels}")
        self.nz, self.beta, self.conditional, self.num_labels = nz, beta, conditional, num_labels
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)
        self._warned = False
        assert sum(p.numel() for p in self.parameters()) > 0

    # the same mathematics as the VAE: borrow its functions
    reparameterize = VAE.reparameterize
    loss = VAE.loss

    def _check(self, x, c):
        assert x.shape[-1] == IMAGE_SIZE, tuple(x.shape)
        if self.conditional:
            if c is None:
                raise ValueError("labels, please")
            assert len(c) == len(x)

    def forward(self, x, c=None):
        self._check(x, c)
        q = self.encoder(x, c)
        z = self.reparameterize(*q.chunk(2, -1))
        return {"q": q, "rec": self.decoder(z, c), "c": c}

    def reconstruct(self, x, c=None):
        self._check(x, c)
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                mu, _ = self.encoder(x, c).chunk(2, -1)
                return self.decoder(mu, c).reshape(len(x), 28, 28)
        finally:
            self.train(was_training)


def train_cvae(model, loader, epochs, learning_rate, device="cpu"):
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    rec_losses, kl_losses, norms = [], [], []
    checkpoints = Checkpointer(model, "cvae")
    best, best_state = float("inf"), None
    model.to(device).train()
    t0 = time.time()
    try:
        for epoch in range(epochs):
            for images, labels in loader:
                assert len(images) == len(labels)
                x = images.to(device).view(len(images), 1, IMAGE_SIZE)
                args = (x, labels.to(device)) if model.conditional else (x,)
                out = model(*args)
                total, parts = model.loss(x, out)
                optimizer.zero_grad()
                total.backward()
                norms.append(grad_norm(model.parameters()))
                if len(norms) > 10 and norms[-1] > 100 * (sum(norms[-11:-1]) / 10):
                    logger.warning("gradient norm jumped to %g", norms[-1])
                optimizer.step()
                rec_losses.append(parts["rec_loss"].item())
                kl_losses.append(parts["kl_loss"].item())
                if total.item() < best:
                    best = total.item()
                    best_state = copy.deepcopy(model.state_dict())
            checkpoints.save(epoch, optimizer, best)
            buffer = io.BytesIO()
            torch.save(optimizer, buffer)
            logger.info("epoch %d: %.4f / %.4f, best %.4f, %d byte optimizer, %.1f s", epoch + 1, rec_losses[-1],
                        kl_losses[-1], best, buffer.tell(), time.time() - t0)
    finally:
        checkpoints.close()
    assert best_state is None or best_state.keys() == model.state_dict().keys()
    return {"rec_loss": rec_losses, "kl_loss": kl_losses, "norms": norms}


def sample_conditional(model, labels, nz):
    try:
        device = next(model.parameters()).device
    except StopIteration:
        logger.warning("model without parameters; assuming the labels' device")
        device = labels.device
    assert labels.dim() == 1, f"labels of shape {tuple(labels.shape)}"
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            z = torch.randn(len(labels), nz, device=device)
            images = model.decoder(z, labels.to(device))
    finally:
        model.train(was_training)
    images = images.detach().reshape(len(labels), 28, 28)
    assert not images.requires_grad
    return images
