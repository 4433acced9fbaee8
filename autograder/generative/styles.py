"""What the notebook shows of a conditional VAE's codes: one handwriting, with every label."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def of_images(model: Any, x: Tensor, labels: Tensor) -> Tensor:
    """The means (N, nz) of the codes of images (N, 1, 784) with their labels (N,)."""
    q = model.encoder(x, labels).flatten(1)
    return torch.as_tensor(q.tensor_split(2, dim=1)[0])


@torch.no_grad()
def with_every_label(model: Any, codes: Tensor, labels: Tensor) -> Tensor:
    """Images (N, L, 28, 28), on the CPU: each of the codes (N, nz) with each of the labels (L,)."""
    rows, columns = torch.cartesian_prod(torch.arange(len(codes)), torch.arange(len(labels))).unbind(1)
    images = model.decoder(codes[rows], labels.to(codes.device)[columns])
    return torch.as_tensor(images.cpu().reshape(len(codes), -1, 28, 28))
