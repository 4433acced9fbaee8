"""Problem 1, part 1: an auto-encoder for MNIST.

An encoder compresses an image of 784 pixels into a short code, and a decoder reconstructs the image from the
code. Both are trained together, with one objective: the reconstruction should match the original.

Shapes used throughout Problem 1 (N is the batch size, nz the length of a code, 32 in the handout):

    images from a data loader   (N, 1, 28, 28)   float32, in [0, 1]
    images for a model          (N, 1, 784)      the same pixels, flattened
    codes                       (N, 1, nz)

Everything runs on the model's device. Create new tensors with `device=...` (or with functions such as
`torch.zeros_like`, which use the device of their argument), so that the same code runs on a CPU and on a GPU.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
import numpy as np


class Encoder(nn.Module):
    """Maps a flattened image to a code.

    Question 1-1 (6 points, together with `Decoder` and `make_data_loader`)

    The layers, stored as `self.net`:
        Linear(input_size, 256), ReLU, Linear(256, 64), ReLU, Linear(64, nz)

    There is no activation after the last layer: a code can take any real values.

    Args:
        nz: length of a code.
        input_size: number of pixels, 784 for MNIST. The conditional models of question 1-8 use other sizes.

    Example:
        >>> Encoder(nz=32, input_size=784)(torch.rand(5, 1, 784)).shape
        torch.Size([5, 1, 32])
    """

    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        # I remember the sizes, maybe I need them later
        self.nz = nz
        self.input_size = input_size

        # layer 1
        linear_1 = nn.Linear(in_features=input_size, out_features=256, bias=True)
        relu_1 = nn.ReLU()
        # layer 2
        linear_2 = nn.Linear(in_features=256, out_features=64, bias=True)
        relu_2 = nn.ReLU()
        # layer 3 (no activation here!)
        linear_3 = nn.Linear(in_features=64, out_features=nz, bias=True)

        # now put everything together
        self.net = nn.Sequential(linear_1, relu_1, linear_2, relu_2, linear_3)

    def forward(self, x: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            x: flattened images, (N, 1, input_size) or (N, input_size).

        Returns:
            The codes: the leading shape of `x` with nz last, so (N, 1, nz) or (N, nz).
        """
        # x can be (N, 1, 784) or (N, 784)
        N = x.shape[0]
        number_of_dimensions = len(x.shape)
        x_flat = x.reshape(N, self.input_size)

        # go through the layers one after the other
        h = x_flat
        for i in range(len(self.net)):
            layer = self.net[i]
            h = layer(h)
        code = h  # (N, nz)

        # bring it back to the form in which x was
        if number_of_dimensions == 3:
            code = code.reshape(N, 1, self.nz)
        else:
            code = code.reshape(N, self.nz)
        return code


class Decoder(nn.Module):
    """Maps a code to a flattened image.

    Question 1-1 (6 points, together with `Encoder` and `make_data_loader`)

    The layers, stored as `self.net`:
        Linear(nz, 64), ReLU, Linear(64, 256), ReLU, Linear(256, output_size), Sigmoid

    The final sigmoid maps every pixel to [0, 1].

    Args:
        nz: length of a code.
        output_size: number of pixels, 784 for MNIST.

    Example:
        >>> Decoder(nz=32, output_size=784)(torch.randn(5, 32)).shape
        torch.Size([5, 1, 784])
    """

    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        self.nz = nz
        self.output_size = output_size

        # layer 1
        linear_1 = nn.Linear(in_features=nz, out_features=64, bias=True)
        relu_1 = nn.ReLU()
        # layer 2
        linear_2 = nn.Linear(in_features=64, out_features=256, bias=True)
        relu_2 = nn.ReLU()
        # layer 3
        linear_3 = nn.Linear(in_features=256, out_features=output_size, bias=True)
        sigmoid = nn.Sigmoid()

        self.net = nn.Sequential(linear_1, relu_1, linear_2, relu_2, linear_3, sigmoid)

    def forward(self, z: Tensor) -> Tensor:
        """Decode a batch.

        Args:
            z: codes, (N, nz) or (N, 1, nz).

        Returns:
            Flattened images (N, 1, output_size), every value in [0, 1]. The result has the middle
            axis for both forms of `z`.
        """
        N = z.shape[0]
        z_flat = z.reshape(N, self.nz)  # (N, nz), also if it was (N, 1, nz)

        h = z_flat
        for i in range(len(self.net)):
            layer = self.net[i]
            h = layer(h)
        image = h  # (N, 784)

        # add the axis in the middle
        image = image.reshape(N, 1, self.output_size)
        return image


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    """Load a data set in batches, in a new order every epoch.

    Question 1-1 (6 points, together with `Encoder` and `Decoder`)

    Args:
        dataset: the examples, for instance from `data.load_mnist()`.
        batch_size: number of examples per batch. An incomplete last batch is dropped.
        num_workers: number of worker processes that load examples; 0 is best for data that is already in
            memory.

    Returns:
        A loader that yields pairs (images, labels).

    Example:
        >>> from torch.utils.data import TensorDataset
        >>> dataset = TensorDataset(torch.rand(10, 1, 28, 28), torch.arange(10))
        >>> loader = make_data_loader(dataset, batch_size=4)
        >>> [len(labels) for images, labels in loader]
        [4, 4]
    """
    loader = DataLoader(
        dataset=dataset,
        batch_size=batch_size,
        shuffle=True,  # new order in every epoch
        num_workers=num_workers,
        drop_last=True,  # throw away the last batch if it is too small
    )
    print("made a loader with", len(loader), "batches of", batch_size)
    return loader


class AutoEncoder(nn.Module):
    """An encoder followed by a decoder (given).

    Args:
        nz: length of a code.
        image_size: number of pixels of a square image.

    Example:
        >>> AutoEncoder(nz=32)(torch.rand(5, 1, 784)).shape
        torch.Size([5, 1, 784])
    """

    def __init__(self, nz: int, image_size: int = 784) -> None:
        super().__init__()
        self.encoder = Encoder(nz, image_size)
        self.decoder = Decoder(nz, image_size)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode flattened images: (N, 1, image_size) -> (N, 1, image_size)."""
        return self.decoder(self.encoder(x))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode and decode, for display: (N, 1, 784) -> (N, 28, 28), with no graph attached."""
        x_hat = self(x)
        side = math.isqrt(x_hat.shape[-1])
        return x_hat.reshape(len(x), side, side)


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    """Binary cross-entropy between reconstructed and original images.

    Question 1-2 (6 points, together with `train_autoencoder`)

    Per pixel: -[x log(x_hat) + (1 - x) log(1 - x_hat)], in nats. The loss is the mean over *every* element:
    all pixels of all images. It must stay finite where x_hat is exactly 0 or 1 (PyTorch's function handles
    that).

    The two arguments are not interchangeable: the prediction comes first, the target second.

    Args:
        x_hat: the model's reconstructions (N, 1, 784), in [0, 1].
        x: the originals, as (N, 1, 28, 28), (N, 1, 784) or (N, 784).

    Returns:
        A scalar (0-dim) tensor. It is not 0 for a perfect reconstruction if the image contains grey pixels,
        because a grey pixel has an entropy of its own.

    Example:
        >>> x_hat = torch.full((5, 1, 784), 0.5)
        >>> reconstruction_loss(x_hat, torch.rand(5, 1, 28, 28))  # log 2 for any originals
        tensor(0.6931)
    """
    # make both the same shape
    N = x_hat.shape[0]
    number_of_pixels = x_hat.shape[-1]
    x_flat = x.reshape(N, number_of_pixels)
    x_hat_flat = x_hat.reshape(N, number_of_pixels)

    # log(0) is minus infinity, so I replace 0 by the smallest number > 0
    smallest = torch.finfo(x_hat_flat.dtype).tiny
    p_white = torch.clamp(x_hat_flat, min=smallest)
    p_black = torch.clamp(1 - x_hat_flat, min=smallest)

    # the formula from the notebook
    first_part = x_flat * torch.log(p_white)
    second_part = (1 - x_flat) * torch.log(p_black)
    loss_per_pixel = -(first_part + second_part)  # (N, 784)

    # mean over the pixels first, and then mean over the images
    loss_per_image = torch.mean(loss_per_pixel, dim=1)  # (N,)
    loss = torch.mean(loss_per_image, dim=0)  # a number
    return loss


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> list[float]:
    """Train an auto-encoder in place.

    Question 1-2 (6 points, together with `reconstruction_loss`)

    Use one Adam optimiser for the whole run, with `learning_rate` and otherwise PyTorch's defaults, and take
    exactly one step per batch.

    Args:
        model: maps images (N, 1, 784) to images (N, 1, 784). It is already on `device`.
        loader: yields (images, labels) with images (N, 1, 28, 28), on the CPU. The labels are not used here.
        epochs: how many times to go through the loader.
        learning_rate: Adam's learning rate.
        device: where to compute. Move every batch there.

    Returns:
        The loss of every iteration as a plain float: epochs * len(loader) numbers. (Return numbers, not
        tensors: a loss tensor keeps its whole graph in memory.)

    Example:
        >>> losses = train_autoencoder(model, loader, epochs=10, learning_rate=1e-3)
        >>> losses[0], losses[-1]  # about 0.69 and 0.09 on MNIST
    """
    print("training the auto-encoder on", device)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    model.train()

    all_losses = []
    for epoch in range(epochs):
        sum_of_losses = 0.0
        number_of_batches = 0
        for batch in loader:
            images = batch[0]  # batch[1] are the labels, I don't need them
            images = images.to(device)
            N = images.shape[0]
            images = images.reshape(N, 28 * 28)
            images = images.reshape(N, 1, 28 * 28)

            # forward
            reconstructed = model(images)
            loss = reconstruction_loss(reconstructed, images)

            # delete old gradients
            optimizer.zero_grad()
            for parameter in model.parameters():
                parameter.grad = None
            # backward
            loss.backward()
            # update
            optimizer.step()

            loss_number = float(loss.detach().cpu().numpy())
            all_losses.append(loss_number)
            sum_of_losses = sum_of_losses + loss_number
            number_of_batches = number_of_batches + 1
        if number_of_batches > 0:
            print("epoch", epoch + 1, "of", epochs, "mean loss:", sum_of_losses / number_of_batches)
    return all_losses


def sample_images(model: nn.Module, num_samples: int, nz: int, device: torch.device | str = "cpu") -> Tensor:
    """Generate new images by decoding random codes.

    Question 1-3 (2 points)

    Args:
        model: has a `decoder` that maps codes (num_samples, nz) to images (num_samples, 1, 784). A VAE also
            has one.
        num_samples: number of images to generate.
        nz: length of a code.
        device: where the model is.

    Returns:
        Images (num_samples, 1, 28, 28) in [0, 1] with no graph attached, decoded from codes z ~ N(0, I) that
        are drawn anew at every call.

    Example:
        >>> sample_images(AutoEncoder(nz=32), num_samples=16, nz=32).shape
        torch.Size([16, 1, 28, 28])
    """
    # random codes from the normal distribution (numpy can do this too)
    random_numbers = np.random.randn(num_samples, nz)
    codes = torch.from_numpy(random_numbers)
    codes = codes.float()  # numpy makes float64
    codes = codes.to(device)

    with torch.no_grad():
        images = model.decoder(codes)  # (num_samples, 1, 784)
    images = images.reshape(num_samples, 28, 28)
    images = images.reshape(num_samples, 1, 28, 28)
    images = images.detach()
    return images
