"""Problem 1, part 3: a conditional VAE (CVAE) for MNIST.

The encoder and the decoder also receive the digit's label, as a one-hot vector appended to their usual input.
The latent code then does not need to encode *which* digit it is, only how it is written, and a sample can be
drawn for any chosen digit.

Source: Sohn, Lee and Yan, "Learning Structured Output Representation using Deep Conditional Generative
Models", 2015.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder
from vae import VAE, Objective, Recorder, optimising, watching
from contextlib import ExitStack

IMAGE_SIZE = 784


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    """Convert labels to one-hot vectors.

    Question 1-8 (5 points, together with `CVAEEncoder`, `CVAEDecoder`, `CVAE` and `train_cvae`)

    Args:
        idx: labels 0 <= idx < n, of an integer dtype, (N,) or (N, 1).
        n: number of classes.

    Returns:
        (N, n) float32, on the device of `idx`: each row is 1 at its label and 0 elsewhere.

    Raises:
        ValueError: a label outside 0..n-1, any other shape (an (N, 2) tensor must not become rows with two
            ones), or a dtype that is not an integer type.

    Example:
        >>> idx2onehot(torch.tensor([2, 0]), 3)
        tensor([[0., 0., 1.],
                [1., 0., 0.]])
    """
    problems = {
        "an integer dtype": idx.dtype.is_floating_point or idx.dtype.is_complex or idx.dtype == torch.bool,
        "the shape (N,) or (N, 1)": not (idx.dim() == 1 or (idx.dim() == 2 and idx.size(1) == 1)),
    }
    for wanted, missing in problems.items():
        if missing:
            raise ValueError(f"labels need {wanted}, got {idx.dtype} {tuple(idx.shape)}")
    labels = idx.flatten().long()
    if labels.numel() and not (labels.min() >= 0 and labels.max() < n):
        raise ValueError(f"labels are 0 to {n - 1}")
    return torch.eye(n, dtype=torch.float32, device=idx.device).index_select(0, labels)


class CVAEEncoder(nn.Module):
    """The layers of `Encoder`, with `num_labels` additional inputs when conditional.

    Question 1-8 (5 points, together with the rest of this file up to `train_cvae`)

    Args:
        nz: number of outputs.
        input_size: number of pixels.
        conditional: whether labels are used. If not, this is a plain `Encoder`.
        num_labels: number of classes.

    Example:
        >>> encoder = CVAEEncoder(nz=64, input_size=784, conditional=True, num_labels=10)
        >>> encoder(torch.rand(5, 1, 784), torch.tensor([0, 3, 9, 9, 1])).shape
        torch.Size([5, 1, 64])
    """

    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.body = Encoder(nz, input_size + num_labels * bool(conditional))
        if conditional:
            self.body.register_forward_pre_hook(self._append_labels)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Encode [x, onehot(c)], concatenated in this order on the last axis; x alone when not conditional.

        Args:
            x: flattened images (N, 1, input_size).
            c: integer labels (N,) or (N, 1). Not required, and ignored, when not conditional.

        Returns:
            (N, 1, nz).

        Raises:
            ValueError: conditional, but no labels are passed.
        """
        if self.conditional and c is None:
            raise ValueError("a conditional encoder needs labels: call it as encoder(x, c)")
        return self.body(x, c) if self.conditional else self.body(x)

    def _append_labels(self, module: nn.Module, args: tuple[Tensor, Tensor]) -> tuple[Tensor]:
        """Forward pre-hook of the body: (x, c) becomes [x, onehot(c)]."""
        x, c = args
        onehot = idx2onehot(c, self.num_labels).to(x).unsqueeze(1)
        return (torch.cat([x, onehot], dim=-1),)


class CVAEDecoder(nn.Module):
    """The layers of `Decoder`, with `num_labels` additional inputs when conditional.

    Question 1-8 (5 points, together with the rest of this file up to `train_cvae`)

    Args:
        nz: length of a code.
        output_size: number of pixels.
        conditional: whether labels are used. If not, this is a plain `Decoder`.
        num_labels: number of classes.

    Example:
        >>> decoder = CVAEDecoder(nz=32, output_size=784, conditional=True, num_labels=10)
        >>> decoder(torch.randn(5, 32), torch.tensor([0, 3, 9, 9, 1])).shape
        torch.Size([5, 1, 784])
    """

    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.body = Decoder(nz + num_labels * bool(conditional), output_size)
        if conditional:
            self.body.register_forward_pre_hook(self._append_labels, prepend=True)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Decode [z, onehot(c)], concatenated in this order on the last axis; z alone when not conditional.

        Args:
            z: codes (N, nz) or (N, 1, nz).
            c: integer labels (N,) or (N, 1). Not required, and ignored, when not conditional.

        Returns:
            (N, 1, output_size), in [0, 1].

        Raises:
            ValueError: conditional, but no labels are passed.
        """
        if self.conditional and c is None:
            raise ValueError("a conditional decoder needs labels: call it as decoder(z, c)")
        return self.body(z, c) if self.conditional else self.body(z)

    def _append_labels(self, module: nn.Module, args: tuple[Tensor, Tensor]) -> tuple[Tensor]:
        """Forward pre-hook of the body: (z, c) becomes [z, onehot(c)], for both forms of z."""
        z, c = args
        onehot = idx2onehot(c, self.num_labels).to(z)
        return (torch.cat([z.flatten(1), onehot], dim=-1),)


class CVAE(VAE):
    """A VAE that receives the labels when it is conditional; a plain VAE when it is not.

    Question 1-8 (5 points, together with the rest of this file up to `train_cvae`)

    Attributes set by `__init__`:
        beta, conditional, num_labels: the arguments.
        encoder: a `CVAEEncoder` with 2 nz outputs, the mean first and log sigma second.
        decoder: a `CVAEDecoder` that maps nz numbers to 784 pixels.

    Args:
        nz: length of a code.
        beta: weight of the KL term.
        conditional: whether labels are used.
        num_labels: number of classes; at least 1 when conditional.

    Raises:
        ValueError: conditional with num_labels < 1.

    Example:
        >>> cvae = CVAE(nz=32, beta=1.0, conditional=True, num_labels=10)
        >>> total, parts = cvae.loss(x, cvae(x, c))
    """

    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        if conditional and num_labels < 1:
            raise ValueError(f"conditional on {num_labels} labels: at least 1 is needed")
        super().__init__(nz, beta)
        self.conditional = conditional
        self.num_labels = num_labels
        # the VAE's networks are replaced
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        """Encode a batch, sample one code per image, and decode it, with the labels in both networks.

        Args:
            x: flattened images (N, 1, 784).
            c: integer labels (N,) or (N, 1); may be None when not conditional.

        Returns:
            {"q": (N, 1, 2 nz), "rec": (N, 1, 784), "c": the labels as passed}.
        """
        q = self.encoder(x, c)
        z = self.reparameterize(*q.chunk(2, dim=-1))
        return {"q": q, "rec": self.decoder(z, c), "c": c}

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Decode the mean of q(z|x, c) with the same labels: (N, 1, 784) -> (N, 28, 28), without a graph."""
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            posteriors = stack.enter_context(watching(self.encoder))
            images = stack.enter_context(watching(self.decoder))
            self.encoder(x, c)
            mu, _ = posteriors.pop().chunk(2, dim=-1)
            self.decoder(mu, c)
            return images.pop().reshape(len(x), 28, 28)


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Train a CVAE in place.

    Question 1-8 (5 points, together with the rest of this file above)

    As `train_vae`, but when `model.conditional`, the labels are also moved to `device` and passed to the
    model. (The VAE's training loop would pass only the images to the model, never the labels.)

    Args:
        model: has the `forward`, `loss` and `conditional` of a CVAE. It is already on `device`.
        loader: yields (images, labels) with images (N, 1, 28, 28) and labels (N,), on the CPU.
        epochs: how many times to go through the loader.
        learning_rate: Adam's learning rate.
        device: where to compute.

    Returns:
        {"rec_loss": [...], "kl_loss": [...]}, each with one plain float per iteration.

    Example:
        >>> history = train_cvae(cvae, loader, epochs=5, learning_rate=1e-3)
        >>> history["kl_loss"][-1]  # on MNIST, lower than the VAE's with the same beta, for the same rec_loss
    """
    objective = Objective(model)
    recorder = Recorder("rec_loss", "kl_loss")
    with ExitStack() as stack:
        optimizer = stack.enter_context(optimising(model, learning_rate))
        stack.callback(objective.register_forward_hook(recorder).remove)
        for _ in range(epochs):
            for images, labels in loader:
                condition = (labels.to(device),) if model.conditional else ()
                total, _parts = objective(images.to(device).flatten(start_dim=2), *condition)
                total.backward()
                optimizer.step()
    return recorder.history


def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    """Generate one new image for each label.

    Question 1-9 (6 points)

    Args:
        model: has a `decoder` that is called with codes (N, nz) and labels (N,).
        labels: integer labels (N,), any N, on any device.
        nz: length of a code.

    Returns:
        Images (len(labels), 28, 28) in [0, 1], in the order of the labels, with no graph attached. Each is
        decoded from its own code z ~ N(0, I), sampled anew at every call, on the model's device.

    Example:
        >>> sample_conditional(cvae, torch.arange(10), nz=32).shape
        torch.Size([10, 28, 28])
    """
    device = next(model.parameters()).device
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        codes = torch.empty(len(labels), nz, device=device).normal_()
        return model.decoder(codes, labels.to(device)).reshape(len(labels), 28, 28)
