"""VAE, defensive edition."""
import time

import torch
from torch import Tensor, nn

from autoencoder import Checkpointer, Decoder, Encoder, logger, reconstruction_loss

IMAGE_SIZE = 784
BETA = 0.05
INTERPOLATIONS = [(3, 8), (4, 9)]
assert len(INTERPOLATIONS) == 2 and all(a != b for a, b in INTERPOLATIONS)


def kl_divergence(mu1: Tensor, log_sigma1: Tensor, mu2: Tensor, log_sigma2: Tensor) -> Tensor:
    log_ratio = log_sigma1 - log_sigma2
    distance = (mu1 - mu2) * torch.exp(-log_sigma2)
    return 0.5 * (torch.exp(2 * log_ratio) + distance**2 - 1) - log_ratio


class VAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        assert beta >= 0, "negative beta"
        self.nz = nz
        self.beta = beta
        self.encoder = Encoder(2 * nz, IMAGE_SIZE)
        self.decoder = Decoder(nz, IMAGE_SIZE)
        self._warned = False

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        assert mu.shape == log_sigma.shape, f"{mu.shape} != {log_sigma.shape}"
        if not self._warned and bool((log_sigma.detach() > 10).any()):
            logger.warning("very large log sigma; did you pass a variance?")
            self._warned = True
        eps = torch.randn_like(mu)
        z = mu + log_sigma.exp() * eps
        assert z.shape == mu.shape
        return z

    def _encode(self, x):
        q = self.encoder(x)
        assert q.shape[-1] % 2 == 0
        mu, log_sigma = q.chunk(2, dim=-1)
        return q, mu, log_sigma

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        q, mu, log_sigma = self._encode(x)
        rec = self.decoder(self.reparameterize(mu, log_sigma))
        assert rec.shape == (len(x), 1, IMAGE_SIZE), rec.shape
        return {"q": q, "rec": rec}

    def loss(self, x, outputs):
        missing = {"q", "rec"} - outputs.keys()
        assert not missing, f"outputs lack {missing}"
        rec_loss = reconstruction_loss(outputs["rec"], x)
        mu, log_sigma = outputs["q"].chunk(2, dim=-1)
        kl = kl_divergence(mu, log_sigma, torch.zeros_like(mu), torch.zeros_like(log_sigma))
        if not (kl.detach() > -1e-4).all():
            logger.error("negative KL: %s", kl.min())
        kl_loss = kl.mean()
        total = rec_loss + self.beta * kl_loss
        assert total.dim() == 0
        return total, {"rec_loss": rec_loss, "kl_loss": kl_loss, "total": total.detach(), "kl_max": kl.detach().max()}

    def reconstruct(self, x: Tensor) -> Tensor:
        modes = {m: m.training for m in self.modules()}
        self.eval()
        try:
            with torch.inference_mode(False), torch.no_grad():
                _, mu, _ = self._encode(x)
                images = self.decoder(mu).reshape(-1, 28, 28)
        finally:
            for m, t in modes.items():
                m.training = t
        assert len(images) == len(x) and not images.requires_grad
        return images


def train_vae(model, loader, epochs, learning_rate, device="cpu"):
    device = torch.device(device)
    history = {"rec_loss": [], "kl_loss": [], "grad_norm": [], "seconds": []}
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    initial = {k: v.detach().clone() for k, v in model.state_dict().items()}
    checkpoints = Checkpointer(model, "vae")
    was_training = model.training
    model.train()
    try:
        for epoch in range(epochs):
            for step, batch in enumerate(loader):
                tic = time.perf_counter()
                assert len(batch) == 2, "loader must yield (images, labels)"
                x = batch[0].to(device)
                x = x.reshape(x.size(0), 1, -1)
                assert x.shape[-1] == IMAGE_SIZE
                optimizer.zero_grad()
                outputs = model(x)
                total, parts = model.loss(x, outputs)
                assert torch.isfinite(total).item(), f"diverged in epoch {epoch}, step {step}: {parts}"
                total.backward()
                # infinite max_norm: measures, never clips
                norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=float("inf"))
                optimizer.step()
                history["rec_loss"].append(float(parts["rec_loss"].detach()))
                history["kl_loss"].append(float(parts["kl_loss"].detach()))
                history["grad_norm"].append(float(norm))
                history["seconds"].append(time.perf_counter() - tic)
            if history["kl_loss"] and history["kl_loss"][-1] < 1e-5 and epoch > 0:
                logger.warning("EARLY WARNING: posterior collapse (KL %.2e)", history["kl_loss"][-1])
            checkpoints.save(epoch, optimizer, history["rec_loss"][-1])
    except Exception:
        logger.exception("training failed; weights put back")
        model.load_state_dict(initial)
        raise
    finally:
        checkpoints.close()
        if not was_training:
            logger.debug("model was in evaluation mode before training")
    assert len(history["rec_loss"]) == len(history["kl_loss"]) == epochs * len(loader)
    return history


@torch.no_grad()
def interpolate(model: nn.Module, x_start: Tensor, x_end: Tensor, nz: int, steps: int) -> Tensor:
    if steps < 2:
        raise ValueError(f"an interpolation includes both ends, so it needs at least 2 steps; got {steps}")
    device = next(model.parameters()).device
    ends = torch.stack([x_start.reshape(1, -1), x_end.reshape(1, -1)]).to(device)  # (2, 1, 784)
    start, end = model.encoder(ends)[..., :nz].reshape(2, 1, nz)  # (1, nz) each
    weight = torch.linspace(0, 1, steps, device=device, dtype=start.dtype).unsqueeze(1)  # (steps, 1)
    codes = (1 - weight) * start + weight * end  # (steps, nz)
    return model.decoder(codes).reshape(steps, 28, 28)
