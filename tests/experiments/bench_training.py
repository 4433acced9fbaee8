"""The speed of training: the solutions' loop as `figures` runs it, as the handout feeds it, and a bare loop of our own.

`digits` and `photographs` return, by name, functions that train for one round: all take the same number of steps on equal
models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from autograder.generative.study import runs, training
from autograder.generative.study.reference import modules

Rounds = dict[str, Callable[[], object]]
WORKERS = 2  # of the handout's data loader
HANDOUT, TENSORS, OURS, BARE = (
    "a: torchvision, ToTensor, 2 workers",
    "DataLoader of tensors",
    "ours",
    "b: bare loop",
)


def torchvisions(name: str, images: Any, labels: Any) -> Any:
    """torchvision's data set MNIST (images: (n, 28, 28), uint8) or CIFAR10 ((n, 32, 32, 3), uint8) with these images.

    Each becomes a PIL image first, then a tensor. Only this way loads torchvision, which takes seconds.
    """
    from torchvision import datasets, transforms

    kind = getattr(datasets, name)
    dataset = kind.__new__(kind)  # without a download
    dataset.data, dataset.targets = images, labels
    dataset.transform, dataset.target_transform = transforms.ToTensor(), None
    return dataset


def handout_loader(dataset: Any, batch_size: int) -> DataLoader[Any]:
    return DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True, num_workers=WORKERS)


def digits(kind: str, images: Tensor, labels: Tensor, device: str) -> Rounds:
    """One epoch of an auto-encoder ("ae") or a VAE ("vae"). images: (n, 1, 28, 28), float32."""
    given = modules()
    plan = runs.Plan(kind, kind, 1, 0.105)
    raw = (images * 255).round().to(torch.uint8).squeeze(1)
    flat = runs.flat(images).to(device)

    def with_loader(load: Callable[[], Any]) -> Callable[[], object]:
        def train() -> object:
            model, loader = runs.build(plan, device), load()
            return training.train(model, lambda: runs.train_epoch(kind, model, loader, device), 1)

        return train

    return {
        HANDOUT: with_loader(lambda: handout_loader(torchvisions("MNIST", raw, labels), runs.BATCH)),
        TENSORS: with_loader(lambda: given.autoencoder.make_data_loader(TensorDataset(images, labels))),
        OURS: with_loader(lambda: training.Batches((images, labels), runs.BATCH, device)),
        BARE: lambda: bare_digits(runs.build(plan, device), kind, flat),
    }


def bare_digits(model: Any, kind: str, x: Tensor) -> None:
    """Forward, loss, backward and fused Adam on slices: losses are not kept, nothing is checked or shown."""
    optimizer = torch.optim.Adam(model.parameters(), lr=runs.RATE, fused=True)
    encoder, decoder = model.encoder.net, model.decoder.net
    for batch in bare_batches(x, runs.BATCH):
        if kind == "ae":
            loss = F.binary_cross_entropy(decoder(encoder(batch)), batch)
        else:
            mu, log_sigma = encoder(batch).chunk(2, dim=-1)
            sigma = log_sigma.exp()
            rec = F.binary_cross_entropy(decoder(mu + sigma * torch.randn_like(mu)), batch)
            loss = rec + model.beta * (0.5 * (sigma**2 + mu**2 - 1) - log_sigma).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bare_batches(x: Tensor, size: int) -> Iterator[Tensor]:
    order = torch.randperm(len(x), device=x.device)
    for i in range(0, len(x) - size + 1, size):
        yield x[order[i : i + size]]


def photographs(images: Tensor, device: str) -> Rounds:
    """One pass of a DCGAN over the images (n, 3, 32, 32), float32."""
    raw = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    plan = runs.Plan("dcgan", "dcgan", 1)

    def handout() -> None:
        dcgan = runs.build(plan, device)
        for real, _ in handout_loader(torchvisions("CIFAR10", raw, [0] * len(raw)), 128):
            dcgan.training_step(real.to(device))

    def ours() -> object:
        dcgan = runs.build(plan, device)
        return training.train(dcgan, lambda: runs.fit_epoch(dcgan, images), 1)

    return {
        HANDOUT: handout,
        OURS: ours,
        BARE: lambda: bare_photographs(runs.build(plan, device), images.to(device)),
    }


def bare_photographs(dcgan: Any, x: Tensor) -> None:
    """Both steps of the assignment on slices: losses are not kept, nothing is checked or shown."""
    generator, discriminator = dcgan._generator, dcgan._discriminator
    ones = torch.ones(128, 1, device=x.device)
    zeros = torch.zeros_like(ones)
    for real in bare_batches(x, 128):
        fake = generator(torch.randn(128, 64, device=x.device)).detach()
        loss = F.binary_cross_entropy_with_logits(discriminator(real), ones)
        loss = loss + F.binary_cross_entropy_with_logits(discriminator(fake), zeros)
        dcgan.optimizerD.zero_grad()
        loss.backward()
        dcgan.optimizerD.step()
        fake = generator(torch.randn(128, 64, device=x.device))
        loss = F.binary_cross_entropy_with_logits(discriminator(fake), ones)
        dcgan.optimizerG.zero_grad()
        loss.backward()
        dcgan.optimizerG.step()
