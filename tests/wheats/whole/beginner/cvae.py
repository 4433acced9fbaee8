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

from autoencoder import Decoder, Encoder, reconstruction_loss
from vae import kl_divergence

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
    # check the type
    allowed_types = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
    if idx.dtype not in allowed_types:
        raise ValueError("the labels must be integers but they are " + str(idx.dtype))
    # check the shape
    if len(idx.shape) == 1:
        pass  # (N,) is ok
    elif len(idx.shape) == 2 and idx.shape[1] == 1:
        pass  # (N, 1) is ok
    else:
        raise ValueError("the labels must be (N,) or (N, 1) but they are " + str(tuple(idx.shape)))

    N = idx.shape[0]
    labels_flat = idx.reshape(N)
    labels_list = labels_flat.tolist()

    # check the values
    for label in labels_list:
        if label < 0:
            raise ValueError("label " + str(label) + " is negative")
        if label >= n:
            raise ValueError("label " + str(label) + " is too large for " + str(n) + " classes")

    # write the ones
    onehot = torch.zeros(N, n, dtype=torch.float32)
    for i in range(N):
        onehot[i, labels_list[i]] = 1.0
    onehot = onehot.to(idx.device)
    return onehot


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
        self.nz = nz
        self.input_size = input_size
        if conditional:
            number_of_inputs = input_size + num_labels
        else:
            number_of_inputs = input_size
        self.my_encoder = Encoder(nz=nz, input_size=number_of_inputs)

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
        N = x.shape[0]
        x_flat = x.reshape(N, self.input_size)
        if self.conditional:
            onehot = idx2onehot(c, self.num_labels)  # (N, num_labels)
            onehot = onehot.to(x.device)
            big_input = torch.zeros(N, self.input_size + self.num_labels, dtype=x.dtype, device=x.device)
            big_input[:, : self.input_size] = x_flat
            big_input[:, self.input_size :] = onehot
        else:
            big_input = x_flat
        code = self.my_encoder(big_input)  # (N, nz)
        code = code.reshape(N, 1, self.nz)
        return code


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
        self.nz = nz
        self.output_size = output_size
        if conditional:
            number_of_inputs = nz + num_labels
        else:
            number_of_inputs = nz
        self.my_decoder = Decoder(nz=number_of_inputs, output_size=output_size)

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
        N = z.shape[0]
        z_flat = z.reshape(N, self.nz)
        if self.conditional:
            onehot = idx2onehot(c, self.num_labels)
            onehot = onehot.to(z.device)
            big_input = torch.zeros(N, self.nz + self.num_labels, dtype=z.dtype, device=z.device)
            big_input[:, : self.nz] = z_flat
            big_input[:, self.nz :] = onehot
        else:
            big_input = z_flat
        image = self.my_decoder(big_input)
        image = image.reshape(N, 1, self.output_size)
        return image


class CVAE(nn.Module):
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
        super().__init__()
        if conditional == True:  # noqa: E712
            if num_labels < 1:
                raise ValueError("a conditional VAE needs num_labels >= 1")
        self.nz = nz
        self.beta = beta
        self.conditional = conditional
        self.num_labels = num_labels
        self.encoder = CVAEEncoder(nz=nz + nz, input_size=IMAGE_SIZE, conditional=conditional, num_labels=num_labels)
        self.decoder = CVAEDecoder(nz=nz, output_size=IMAGE_SIZE, conditional=conditional, num_labels=num_labels)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        """z = mu + exp(log_sigma) * eps, as in `VAE.reparameterize`."""
        # same as in VAE
        sigma = torch.exp(log_sigma)
        zeros = torch.zeros(mu.shape, dtype=mu.dtype, device=mu.device)
        ones = torch.ones(mu.shape, dtype=mu.dtype, device=mu.device)
        epsilon = torch.normal(mean=zeros, std=ones)
        sigma_times_epsilon = torch.multiply(sigma, epsilon)
        z = torch.add(mu, sigma_times_epsilon)
        return z

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        """Encode a batch, sample one code per image, and decode it, with the labels in both networks.

        Args:
            x: flattened images (N, 1, 784).
            c: integer labels (N,) or (N, 1); may be None when not conditional.

        Returns:
            {"q": (N, 1, 2 nz), "rec": (N, 1, 784), "c": the labels as passed}.
        """
        N = x.shape[0]
        if self.conditional:
            q = self.encoder(x, c)
        else:
            q = self.encoder(x)
        q = q.reshape(N, 1, 2 * self.nz)
        mu = q[:, :, 0 : self.nz]
        log_sigma = q[:, :, self.nz : 2 * self.nz]
        z = self.reparameterize(mu, log_sigma)
        if self.conditional:
            rec = self.decoder(z, c)
        else:
            rec = self.decoder(z)
        rec = rec.reshape(N, 1, IMAGE_SIZE)

        outputs = {}
        outputs["q"] = q
        outputs["rec"] = rec
        outputs["c"] = c
        return outputs

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The total and {"rec_loss", "kl_loss"}, as in `VAE.loss`."""
        q = outputs["q"]
        rec = outputs["rec"]
        rec_loss = reconstruction_loss(rec, x)

        mu = q[:, :, 0 : self.nz]
        log_sigma = q[:, :, self.nz : 2 * self.nz]
        # the other distribution is the prior: mean 0, standard deviation 1, log(1) = 0
        prior_mu = torch.zeros(mu.shape, dtype=mu.dtype, device=mu.device)
        prior_log_sigma = torch.log(torch.ones(mu.shape, dtype=mu.dtype, device=mu.device))
        kl_each = kl_divergence(mu, log_sigma, prior_mu, prior_log_sigma)
        kl_per_image = torch.sum(kl_each, dim=2) / self.nz  # (N, 1)
        kl_loss = torch.sum(kl_per_image) / kl_per_image.shape[0]

        total = rec_loss + self.beta * kl_loss
        parts = {}
        parts["rec_loss"] = rec_loss
        parts["kl_loss"] = kl_loss
        return total, parts

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Decode the mean of q(z|x, c) with the same labels: (N, 1, 784) -> (N, 28, 28), without a graph."""
        was_training = self.training
        self.eval()
        with torch.no_grad():
            N = x.shape[0]
            if self.conditional:
                q = self.encoder(x, c)
            else:
                q = self.encoder(x)
            q = q.reshape(N, 2 * self.nz)
            mu = q[:, 0 : self.nz]
            if self.conditional:
                image = self.decoder(mu, c)
            else:
                image = self.decoder(mu)
            image = image.reshape(N, 28 * 28)
            image = image.reshape(N, 28, 28)
        self.train(was_training)
        return image


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
    print("training the CVAE on", device)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    model.train()

    rec_losses = []
    kl_losses = []
    for epoch in range(epochs):
        for batch in loader:
            images = batch[0]
            images = images.to(device)
            N = images.shape[0]
            images = images.reshape(N, 28 * 28)
            images = images.reshape(N, 1, 28 * 28)

            if model.conditional:
                labels = batch[1]
                labels = labels.to(device)
                outputs = model(images, labels)
            else:
                outputs = model(images)
            result = model.loss(images, outputs)
            total = result[0]
            parts = result[1]

            optimizer.zero_grad()
            for parameter in model.parameters():
                parameter.grad = None
            total.backward()
            optimizer.step()

            rec_number = float(parts["rec_loss"].detach().cpu().numpy())
            kl_number = float(parts["kl_loss"].detach().cpu().numpy())
            rec_losses.append(rec_number)
            kl_losses.append(kl_number)
        if len(rec_losses) > 0:
            print("epoch", epoch + 1, "of", epochs, "rec:", rec_losses[-1], "kl:", kl_losses[-1])

    history = {}
    history["rec_loss"] = rec_losses
    history["kl_loss"] = kl_losses
    return history


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
    # where is the model? look at the first parameter
    model_device = None
    for parameter in model.parameters():
        model_device = parameter.device
        break

    number_of_labels = labels.shape[0]
    labels_on_device = labels.to(model_device)

    # one code per label
    codes = torch.zeros(number_of_labels, nz, device=model_device)
    for i in range(number_of_labels):
        z = torch.randn(nz, device=model_device)
        codes[i] = z

    with torch.no_grad():
        images = model.decoder(codes, labels_on_device)
    images = images.reshape(number_of_labels, 28 * 28)
    images = images.reshape(number_of_labels, 28, 28)
    return images.detach()
