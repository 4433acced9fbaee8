"""The engineering half of the project: what every module and every training run share."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Optional

import torch
from torch import nn


class BaseModule(nn.Module):
    """A module that knows how it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.hparams: dict[str, Any] = {}

    def save_hyperparameters(self, **hparams: Any) -> None:
        self.hparams.update(hparams)

    @property
    def current_device(self) -> torch.device:
        return next(self.parameters()).device

    def configure_optimizers(self, learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=learning_rate)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def on_train_start(self) -> None:
        self.train()


class ImageBatchMixin:
    """Puts images into the shape that the models of Problem 1 take."""

    @staticmethod
    def flat(images: torch.Tensor) -> torch.Tensor:
        return images.reshape(images.size(0), 1, -1)

    @staticmethod
    def square(images: torch.Tensor, side: int = 28) -> torch.Tensor:
        return images.reshape(images.size(0), side, side)


class History(defaultdict):
    """Numbers by name."""

    def __init__(self) -> None:
        super().__init__(list)

    def log_dict(self, values: dict[str, torch.Tensor]) -> None:
        for name, value in values.items():
            self[name].append(value.detach().cpu().item())


class Callback:
    def on_epoch_end(self, trainer: "Trainer") -> None: ...


class PrintProgress(Callback):
    def on_epoch_end(self, trainer: "Trainer") -> None:
        last = {name: round(values[-1], 4) for name, values in trainer.history.items() if values}
        print(f"epoch {trainer.current_epoch}: {last}")


class Trainer:
    """Calls `training_step` of a module for every batch, and does the rest of the work around it."""

    def __init__(self, max_epochs: int, device: Any = "cpu", callbacks: Optional[list[Callback]] = None) -> None:
        self.max_epochs = max_epochs
        self.device = torch.device(device) if isinstance(device, str) else device
        self.callbacks = [PrintProgress()] if callbacks is None else callbacks
        self.history = History()
        self.current_epoch = 0
        self.global_step = 0

    def transfer(self, batch: Any) -> Any:
        if isinstance(batch, torch.Tensor):
            return batch.to(self.device)
        return type(batch)(self.transfer(part) for part in batch)

    def optimizer_step(self, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def fit(self, module: Any, loader: Any, learning_rate: float) -> History:
        optimizer = module.configure_optimizers(learning_rate)
        module.on_train_start()
        for self.current_epoch in range(self.max_epochs):
            for batch_idx, batch in enumerate(loader):
                output = module.training_step(self.transfer(batch), batch_idx)
                self.optimizer_step(optimizer, output.pop("loss"))
                self.history.log_dict(output)
                self.global_step += 1
            for callback in self.callbacks:
                callback.on_epoch_end(self)
        return self.history
