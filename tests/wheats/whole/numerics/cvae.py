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
from vae import VAE, minimise

IMAGE_SIZE = 784


def _labels(idx: Tensor, n: int) -> Tensor:
    """Labels as int64 (N,), checked."""
    try:
        torch.iinfo(idx.dtype)  # a TypeError for bool, floating-point and complex dtypes
    except TypeError:
        raise ValueError(f"{idx.dtype} is not an integer type") from None
    if idx.dim() not in (1, 2) or idx.shape[1:].numel() != 1:
        raise ValueError(f"shape {tuple(idx.shape)}, expected (N,) or (N, 1)")
    k = idx.flatten().to(torch.int64)
    if torch.any((k < 0) | (k > n - 1)):
        raise ValueError(f"labels outside 0..{n - 1}")
    return k


def _first_affine(layer: nn.Linear, x: Tensor, k: Tensor) -> Tensor:
    """layer([x, onehot(k)]) for x (N, 1, d), without the products with zero: the label selects a column of W."""
    d = x.shape[-1]
    wx, wc = layer.weight[:, :d], layer.weight[:, d:]
    return F.linear(x, wx, layer.bias) + wc.t().index_select(0, k)[:, None]


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
    k = _labels(idx, n)
    return (k[:, None] == torch.arange(n, device=k.device)).to(torch.float32)


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
        self.input_size = input_size
        self.net = Encoder(nz, input_size + conditional * num_labels).net

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
        if not self.conditional:
            return self.net(x)
        h = _first_affine(self.net[0], x, _labels(c, self.num_labels))
        return self.net[1:](h)


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
        self.net = Decoder(nz + conditional * num_labels, output_size).net

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
        z = z.flatten(1)[:, None]  # (N, 1, nz)
        if not self.conditional:
            return self.net(z)
        h = _first_affine(self.net[0], z, _labels(c, self.num_labels))
        return self.net[1:](h)


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
        super().__init__(nz, beta)  # beta, reparameterize() and loss()
        if conditional and not num_labels >= 1:
            raise ValueError(f"num_labels = {num_labels} < 1")
        self.conditional, self.num_labels = conditional, num_labels
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
        z = self.reparameterize(*q.chunk(2, -1))
        return {"q": q, "rec": self.decoder(z, c), "c": c}

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Decode the mean of q(z|x, c) with the same labels: (N, 1, 784) -> (N, 28, 28), without a graph."""
        with torch.no_grad():
            mu, _ = self.encoder(x, c).chunk(2, -1)
            return self.decoder(mu, c).unflatten(-1, (28, 28)).squeeze(1)


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
    def objective(x: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        outputs = model(x, labels.to(device)) if model.conditional else model(x)
        return model.loss(x, outputs)

    return minimise(objective, model, loader, epochs, learning_rate, device)


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
    w = next(model.parameters())
    c = labels.to(w.device)
    z = torch.randn(c.numel(), nz, dtype=torch.float64, device=w.device).to(w.dtype)
    with torch.no_grad():
        blocks = [model.decoder(zb, cb) for zb, cb in zip(z.split(512), c.split(512))]
    return torch.cat(blocks).reshape(c.numel(), 28, 28)
