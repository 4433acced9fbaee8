# %% [markdown]
# # Problem 2: a generative adversarial network for small photographs
#
# The auto-encoders of Problem 1 are told, pixel by pixel, how far off their drawings are. That works for
# digits. For photographs it is a bad teacher: of two possible textures it prefers their blurred mean. Here
# a second network takes its place. A **generator** draws images from noise; a **discriminator** is shown
# drawings and photographs, and learns to tell them apart; the generator learns to be taken for real. Nobody
# ever writes down what a photograph should look like.
#
# You write the code in one module beside this notebook, `gan.py`. The notebook imports it, trains your
# networks, draws the figures, and holds one question that is answered in words. It has no gaps of its own:
# if a cell stops with `NotImplementedError`, the message names the function to write.
#
# After each part `grader.check("q2_1a")` runs the public checks of that question. They are the same ones
# that `python -m autograder check` runs in a terminal.
#
# **Where to run it.** In Jupyter or VS Code: open it where it lies, beside the modules. In Colab:
#
# 1. Open this notebook, and upload the file `generative-models.zip` of the release (the folder symbol on
#    the left, then the upload symbol). The next cell unpacks it.
# 2. Your modules are then in `generative-models/assignment/`. A double click in that file browser opens an
#    editor beside the notebook; what you save there is used by the next cell you run. If you have modules
#    already, upload them into that folder.
# 3. Colab forgets the folder when the session ends: download your modules before. It also keeps *this*
#    notebook elsewhere. For your written answers to count, download the notebook (File, Download, .ipynb)
#    and upload it into that folder as `gan.ipynb`, in place of the one that is there, before you call
#    `grader.check` on a written question or `grader.export()`.

# %%
# Find the assignment's files. This cell may be run again at any time.
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

if not Path("autoencoder.py").is_file():
    if not Path("generative-models/assignment").is_dir():
        if not Path("generative-models.zip").is_file():
            raise FileNotFoundError(
                f"neither autoencoder.py nor generative-models.zip is in {Path.cwd()}: start this notebook in the "
                "assignment's folder, or upload the zip of the release to where it runs"
            )
        with zipfile.ZipFile("generative-models.zip") as archive:
            archive.extractall()
    os.chdir("generative-models/assignment")

for folder in (Path.cwd().parent, Path.cwd()):  # the grader's package is one folder up
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# What the grader needs and a fresh machine may lack.
needed = {
    "otter": "otter-grader>=6.1",
    "hypothesis": "hypothesis>=6.100",
    "pytest": "pytest>=8",
    "rich": "rich>=13",
    "safetensors": "safetensors>=0.4.3",
}
missing = [package for module, package in needed.items() if importlib.util.find_spec(module) is None]
if missing:
    print("Installing", ", ".join(missing), "...")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *missing], check=True)

# %%
# Modules are read again whenever you save them, and figures appear in the notebook.
# %load_ext autoreload
# %autoreload 2
# %matplotlib inline

# %%
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

import data
import figures
from autograder.notebook import Grader

grader = Grader("gan.ipynb")

# %% [markdown]
# ## Settings
#
# With an environment variable `GENERATIVE_QUICK=1` everything below is small: it shows in a minute or two
# that the notebook runs, and no network gets any good. With `GENERATIVE_OFFLINE=1` nothing is downloaded,
# and patches of the two photographs that come with scikit-learn take the place of CIFAR-10. You can also
# just set the names here.
#
# An epoch of CIFAR-10 takes a few seconds on a GPU and one to two minutes on a CPU, and two networks are
# trained. So there are 25 epochs on a GPU, as the figures in the text had, and 5 on a CPU: enough for every
# effect, if not for the best images.

# %%
QUICK = os.environ.get("GENERATIVE_QUICK") == "1"
OFFLINE = os.environ.get("GENERATIVE_OFFLINE") == "1"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SEED = 42


def load():
    """Training images, test images, and what they are called in the figures."""
    if not OFFLINE:
        try:
            return data.load_cifar10(), data.load_cifar10(train=False), "CIFAR-10"
        except data.DataUnavailable as error:
            print(
                f"{error}\n\nGoing on with patches of two photographs: expect other numbers than the text says."
            )
    return data.load_patches_offline(), data.load_patches_offline(train=False), "photographs' patches"


train_images, test_images, DATA = load()
EPOCHS = 25 if DEVICE == "cuda" or len(train_images) < 10_000 else 5
if QUICK:
    train_images, EPOCHS = train_images[:640], 2
TARGETS = test_images[: 8 if QUICK else 64]  # the images to reconstruct in question 2-4
ACTMAX_STEPS = 50 if QUICK else 500

print(
    f"{DATA}: {len(train_images)} training images, {len(test_images)} test images; {EPOCHS} epochs on {DEVICE}"
)
figures.image_grid(train_images[:20], f"{DATA}: training images", columns=10)

# %% [markdown]
# ## 1. Two networks, one game
#
# The generator $G$ maps a code $z \sim \mathcal{N}(0, I)$ of 64 numbers to an image. The discriminator maps
# an image to a *logit* $\ell(x)$, any real number; its belief that the image is real is
# $D(x) = \sigma(\ell(x)) = 1 / (1 + e^{-\ell(x)})$. Goodfellow et al. (2014) let them play for
#
# $$\min_G \max_D \;\; V(D, G) = \mathbb{E}_{x}\big[\log D(x)\big] + \mathbb{E}_{z}\big[\log (1 - D(G(z)))\big] .$$
#
# **The discriminator** maximises $V$. Put the minus sign in front, and it is two cross-entropies: real
# images with the label 1, fakes with the label 0,
#
# $$\mathcal{L}_D = -\mathbb{E}_{x}\big[\log D(x)\big] - \mathbb{E}_{z}\big[\log (1 - D(G(z)))\big] .$$
#
# It is a *sum*, so one that only guesses, $D = \tfrac12$, pays $2 \log 2 = 1.386$. For a fixed generator
# whose images have the density $p_G$, the best answer is $D^*(x) = p(x) / (p(x) + p_G(x))$: one half
# everywhere exactly when the fakes are distributed like the real images. That is the end of the game, if it
# ends.
#
# **The generator**, by the letter of the game, minimises $\mathbb{E}_z[\log(1 - D(G(z)))]$. This is the
# *saturating* loss, and it fails when it is needed most. Look at one fake with the logit $\ell$:
#
# $$\frac{\partial}{\partial \ell} \log\big(1 - \sigma(\ell)\big) = -\sigma(\ell)
# \qquad\text{but}\qquad
# \frac{\partial}{\partial \ell} \big[-\log \sigma(\ell)\big] = -\big(1 - \sigma(\ell)\big) .$$
#
# Early in training the discriminator is sure of itself, $\ell \ll 0$. On the left the gradient is then
# nearly 0, so bad fakes learn nothing; on the right it is nearly $-1$. The right one belongs to the
# *non-saturating* loss that you will use,
#
# $$\mathcal{L}_G = -\mathbb{E}_{z}\big[\log D(G(z))\big],$$
#
# the cross-entropy of the fakes with the label **1**. Both push every logit upwards and differ only in how
# hard they push; a guessing discriminator makes it $\log 2 = 0.693$.

# %%
logits = torch.linspace(-8, 8, 200, requires_grad=True)
(saturating,) = torch.autograd.grad(F.logsigmoid(-logits).sum(), logits)  # log(1 - sigma(l)) = log sigma(-l)
(non_saturating,) = torch.autograd.grad(-F.logsigmoid(logits).sum(), logits)
figures.functions(
    logits,
    {"saturating: log(1 - D)": saturating, "non-saturating: -log D": non_saturating},
    "What one fake teaches the generator",
    x_label="logit of the fake (left: recognised as fake)",
    y_label="gradient of the loss",
)

# %% [markdown]
# ### Numbers that are too sure
#
# The loss above takes the logarithm of a sigmoid. Done one after the other that goes wrong: in float32,
# $\sigma(100)$ is exactly 1, and $\log(1 - 1)$ is minus infinity (PyTorch's `binary_cross_entropy` cuts it
# off at -100, and its gradient is gone). Together they are harmless,
# $-\log(1 - \sigma(\ell)) = \log(1 + e^{\ell})$, which is 100 at $\ell = 100$, and PyTorch has a function
# that does both.
#
# ### Question 2-1a (7 points)
#
# In `gan.py` write `DCGAN.__init__`, `_weight_initialization` and `_classification_loss`. The architecture
# is given (a small version of Radford et al. 2016), and so is most of the recipe: convolution weights from
# $\mathcal{N}(0, 0.02)$, batch normalisation weights from $\mathcal{N}(1, 0.02)$, Adam with the rate
# $2 \cdot 10^{-4}$ and betas (0.5, 0.999), one optimiser for each network. An initialisation that is
# written but never called is a classic; so is an Adam that was not told its rate.

# %%
import gan

grader.check("q2_1a")

# %% [markdown]
# Before any training, the generator draws this:

# %%
torch.manual_seed(SEED)
dcgan = gan.DCGAN(device=DEVICE)
first_samples = dcgan.generate(dcgan.tracked_noise)
figures.gan_samples(first_samples, title="DCGAN: samples from the tracked noise, before training")

# %% [markdown]
# ### Question 2-1b (13 points)
#
# Write the two halves of `DCGAN.training_step`. For every batch of real images:
#
# 1. **Discriminator.** Draw noise, make as many fakes as there are real images, *detach* them: this step is
#    none of the generator's business. One loss for the real batch (label 1) plus one for the fake batch
#    (label 0), the two batches kept apart; clear the old gradients, backward, one step of `optimizerD`.
# 2. **Generator.** *New* noise, new fakes, not detached; the non-saturating loss; one step of `optimizerG`.
#    The gradient flows through the discriminator, which does not learn here. It leaves gradients there:
#    clear them before the discriminator's next step.
#
# Why keep the batches apart? Batch normalisation (Ioffe and Szegedy 2015) computes its means over whatever
# is in the batch. In a mixed batch every real image would be seen in the light of the fakes and the other
# way round, and the discriminator could tell them apart by how they differ from the common mean.

# %%
grader.check("q2_1b")

# %% [markdown]
# ### Training
#
# `fit` (given) calls your step for all batches, and every two epochs it draws images from `tracked_noise`:
# always the same 64 codes, so that you can watch one image become another.
#
# Do not expect these losses to fall. Each is measured against an opponent that learns too; what is healthy
# is a balance. On CIFAR-10 the discriminator's loss is about 0.3 in the first epoch, later 0.6 to 0.8, and
# the generator's falls from 3.7 to about 1.8 (means over an epoch). A discriminator at 0 has won, and there
# is nothing left to learn from; at 1.386 it has given up.

# %%
torch.manual_seed(SEED)  # right before the training: the same order of the data, whatever was drawn so far
history = dcgan.fit(train_images, epochs=EPOCHS)
figures.gan_losses(history.dis_loss, history.gen_loss, title=f"DCGAN on {DATA}: training losses")

# %%
stages = {"epoch 0": first_samples[:10]}
for epoch, images in history.samples:
    if epoch in (2, 4, 8, 16) or epoch == history.samples[-1][0]:
        stages[f"epoch {epoch}"] = images[:10]
figures.image_rows(stages, f"DCGAN on {DATA}: ten of the tracked codes, while it learns")

# %%
final_samples = dcgan.generate(dcgan.tracked_noise)
figures.gan_samples(final_samples, epoch=EPOCHS, title=f"DCGAN on {DATA}: samples from the tracked noise")

# %% [markdown]
# ## 2. Where batch normalisation does not belong
#
# Batch normalisation gives every channel the mean 0 and the variance 1, over all images of a batch and all
# places in them, and then a mean and a variance that are learnt. It makes deep networks easier to train.
# Yet Radford et al. (2016) leave it out in two places of a DCGAN. Here is the first, as a worked example;
# the second is for you.
#
# ### A worked question: why is there none on the generator's *output* layer?
#
# *Answer.* The output layer decides what an image finally looks like: how bright it is, how colourful, how
# much contrast it has. Batch normalisation there would fix, for every batch, the mean and the variance of
# the red, green and blue channel to the same few learnt numbers. The statistics of a batch of real images
# are not fixed; they vary from batch to batch, and single images are night scenes or snow. Each image would
# also depend on its neighbours in the batch: a dark one would force the others to be brighter, so that no
# image could be drawn on its own merits. In the hidden layers this costs little, because what follows can
# undo it; after the output layer nothing follows that could. And it would not help either, since the
# sigmoid already keeps the pixels in their range. Radford et al. report that with batch normalisation in
# all layers the samples oscillated and training was unstable.

# %% [markdown]
# <!-- BEGIN QUESTION -->
# <!-- question 2-2w -->
# ### Question 2-2w (4 points, at most 200 words)
#
# Why is there no batch normalisation right after the discriminator's *first* convolution? Say what that
# layer sees, what normalising its output would take away, and remember which images share a batch.

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# The first convolution is the only layer that sees the pixels themselves. Its outputs are linear in them:
# local mean colours, brightness, edges, contrast. Batch normalisation right after it would set mean and
# variance of each such channel, over the batch, to the same learnt numbers.
#
# Real and fake images come in separate batches, so each kind would be normalised by its own statistics. If
# all fakes are too dark, too green or too low in contrast, this is just the difference that is removed:
# afterwards both batches have the same first two moments. The discriminator loses its easiest evidence, and
# the generator, which learns only from the discriminator, gets no gradient that would mend its colours.
# Samples may drift in colour and oscillate.
#
# It also makes the verdict on one image depend on its neighbours. And little is gained: inputs lie in [0,
# 1] already, and after one layer nothing has to be rescued from exploding or vanishing.
#
# In deeper layers features are non-linear and more abstract, so losing their mean and variance costs less
# than it helps training; what the first layer kept is by then mixed into them.
# <!-- END SOLUTION -->

# %% [markdown]
# <!-- END QUESTION -->

# %%
grader.check("q2_2w")

# %% [markdown]
# ## 3. Spectral normalisation
#
# A discriminator that becomes too steep is a bad teacher: tiny changes of an image swing its verdict, and
# its gradients are huge here and nothing there. How steep can it be? A linear layer $h \mapsto W h$
# stretches distances by at most the largest singular value of its matrix,
#
# $$\lVert W h - W h' \rVert \le \sigma(W)\, \lVert h - h' \rVert ,$$
#
# and there are $h, h'$ for which it does. LeakyReLU stretches nothing. Chained layers multiply their
# factors. So Miyato et al. (2018) divide each weight by its own:
#
# $$\bar W = W / \sigma(W), \qquad \sigma(\bar W) = 1 .$$
#
# For a convolution, $W$ is the kernel seen as a matrix with one row per output channel. To find $\sigma(W)$
# one does not need the whole decomposition: *power iteration* keeps two vectors,
# $v \leftarrow W^\top u / \lVert W^\top u \rVert$ and $u \leftarrow W v / \lVert W v \rVert$, and
# $\sigma(W) \approx u^\top W v$. The weights change little from step to step, so one iteration per training
# step is enough.
#
# (A small print: this bounds what a layer does to each *patch*. Our kernels of 4 with a stride of 2 cover
# every pixel four times, so the whole convolution may stretch by up to 2; and batch normalisation and `fc`
# are not bounded here. The discriminator is tamed, not strictly Lipschitz with constant 1.)
#
# ### Question 2-3 (4 points)
#
# Write `SpectralNormDiscriminator`: spectral normalisation on all three convolutions, not only on the
# first, and not only on `fc`.
#
# There is a trap. In a spectral-normed layer `weight` is *computed*; the parameter behind it has another
# name. Filling `weight` with new numbers fills a tensor that is thrown away:

# %%
torch.manual_seed(SEED)
layer = parametrizations.spectral_norm(nn.Conv2d(3, 32, 4, 2, 1))
parameter = layer.parametrizations.weight.original
print(f"the parameter's standard deviation, as PyTorch made it:           {parameter.std():.4f}")
with torch.no_grad():
    nn.init.normal_(layer.weight, 0.0, 0.5)
print(f"after nn.init.normal_(layer.weight, 0.0, 0.5), without an effect: {parameter.std():.4f}")
gan.normal_weight_(layer, 0.0, 0.5)
print(f"after normal_weight_(layer, 0.0, 0.5), which gan.py has:         {parameter.std():.4f}")

# %%
grader.check("q2_3")

# %% [markdown]
# Now the same training with the normed discriminator. A comparison is fair only if nothing else differs:
# the first seed gives both runs the same generator to start from and the same tracked noise. The two
# discriminators then draw different amounts of random numbers while they are made, so the seed is set
# *again* right before `fit`, as it was above. From there on both runs shuffle the data in the same order.

# %%
torch.manual_seed(SEED)
spectral = gan.DCGAN(spectral_norm=True, device=DEVICE)
torch.manual_seed(SEED)
spectral_history = spectral.fit(train_images, epochs=EPOCHS)
figures.compared_gan_losses(
    {
        f"{DATA}, without spectral norm": (history.dis_loss, history.gen_loss),
        f"{DATA}, with spectral norm": (spectral_history.dis_loss, spectral_history.gen_loss),
    }
)

# %%
figures.image_rows(
    {
        "without": final_samples[:10],
        "with\nspectral norm": spectral.generate(spectral.tracked_noise)[:10],
    },
    f"DCGAN on {DATA}: the same codes after {EPOCHS} epochs",
)

# %%
print("largest singular values of the discriminator's three convolutions")
for name, model in (("without", dcgan), ("with", spectral)):
    with gan.evaluation_mode(model), torch.no_grad():
        convolutions = [layer for layer in model._discriminator.modules() if isinstance(layer, nn.Conv2d)]
        values = [float(torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)) for layer in convolutions]
    print(f"{name:>8} spectral norm: ", ", ".join(f"{value:.2f}" for value in values))

# %% [markdown]
# What the norm guarantees stands in the table: no convolution grows, so the discriminator cannot sharpen
# its verdicts by scaling up its features. What it does to the game is for you to read from the curves:
# which of the two discriminators runs further ahead of its generator, with a loss further below 1.386?
# Where are the spikes, and how large? Be careful with conclusions: in a short run the difference is small,
# and one run of each with one seed proves little.
#
# ## 4. What does the discriminator like best?
#
# Training changes weights so that a loss falls. The same gradients can change the *input* instead.
# **Activation maximisation** takes the trained networks as they are, and moves the codes $z$ so that the
# discriminator believes more in $G(z)$:
#
# $$z^* = \arg\min_z \; -\log D(G(z)) .$$
#
# `DCGAN.actmax` (given) does so with Adam on the codes alone. Both networks are in evaluation mode: batch
# normalisation must use what it learnt, and not the statistics of the codes that happen to be there. It
# starts from the tracked noise:

# %%
loss_before, before = dcgan.actmax(dcgan.tracked_noise[:10], steps=0)
loss_after, after = dcgan.actmax(dcgan.tracked_noise[:10], steps=ACTMAX_STEPS)
print(f"-log D(G(z)): {loss_before:.3f} before, {loss_after:.2g} after {ACTMAX_STEPS} steps")
figures.image_rows({"before": before, "after": after}, f"DCGAN on {DATA}: activation maximisation")

# %% [markdown]
# The discriminator is now all but sure that these are real. Are they better images? Mostly they are just
# other ones, often with stronger colours and repeated texture. It has learnt to tell photographs from what
# the generator drew *during training*; of codes that were pushed somewhere else it knows little. Being
# convinced is not the same as being right.
#
# ## 5. Can the generator draw this photograph?
#
# A generator has no encoder, but one can search. For given images $x$ find the codes whose drawings are
# nearest:
#
# $$z^* = \arg\min_z \; \frac{1}{3 \cdot 32 \cdot 32} \lVert G(z) - x \rVert^2 ,$$
#
# by 500 Adam steps from $z = 0$. (The search is deterministic: no chance, the same result at every call.)
#
# ### Question 2-4 (12 points)
#
# Write `DCGAN._reconstruction_loss` and `DCGAN.reconstruct`. `actmax` does nearly the same. Only the codes
# change; afterwards the networks are as they were: parameters, running averages, modes, and no gradients
# left on them.

# %%
grader.check("q2_4")

# %%
loss, rebuilt = dcgan.reconstruct(TARGETS)
figures.reconstructions(TARGETS, rebuilt, f"DCGAN, {DATA}, loss {loss:.4f}", "test")

# %% [markdown]
# ### How good is that?
#
# A loss below 0.145 used to be asked for. Sounds strict? Compare with what costs nothing:

# %%
at_zero = F.mse_loss(dcgan.generate(torch.zeros(len(TARGETS), dcgan.code_size)), TARGETS).item()
grey = F.mse_loss(torch.full_like(TARGETS, 0.5), TARGETS).item()
torch.manual_seed(SEED)
untrained, _ = gan.DCGAN(device=DEVICE).reconstruct(TARGETS)
spectral_loss, _ = spectral.reconstruct(TARGETS)
print(f"mean squared error on {len(TARGETS)} test images of {DATA}")
print(f"  flat grey, 0.5 everywhere            {grey:.4f}")
print(f"  untrained generator, after 500 steps {untrained:.4f}")
print(f"  trained generator, at code zero      {at_zero:.4f}")
print(f"  trained generator, after 500 steps   {loss:.4f}   ({1 - loss / at_zero:.0%} below code zero)")
print(f"  the one trained with spectral norm   {spectral_loss:.4f}")

# %% [markdown]
# On the first 64 test images of CIFAR-10 flat grey reaches 0.064, and so does a generator that has never
# been trained (0.063 to 0.068). Both pass the old threshold with ease: pixels in [0, 1] are simply never
# very far from grey. **A number means something only beside the number that one gets for nothing.** The
# bars that do say something: at least 40 % below the same generator's loss at code zero, and, for a trained
# generator, 0.03 or less. We measured 0.028 after one epoch, 0.021 after three, and 0.015 after 25.
#
# (Code zero can be far worse than grey. It is no typical draw: codes from $\mathcal{N}(0, I)$ lie at a
# distance of about $\sqrt{64} = 8$ from the origin, and the generator never met that one in training.)
#
# What is left is instructive too. The reconstructions get layout and colours about right, and lose the
# rest: there are 64 numbers for 3072, and a squared error that prefers a mean. And an image that the search
# does not find need not be out of the generator's reach: the search only walks downhill.
#
# ## To end with
#
# `grader.check_all()` runs the public checks of all questions; it takes a while. `grader.export()` makes
# the zip to hand in. Save the notebook before: only what is saved is looked at.

# %%
grader.check_all()

# %%
grader.export()

# %% [markdown]
# ## Sources
#
# * I. Goodfellow et al., "Generative Adversarial Nets", 2014: the game, and the non-saturating loss.
# * S. Ioffe and C. Szegedy, "Batch Normalization", 2015.
# * A. Radford, L. Metz and S. Chintala, "Unsupervised Representation Learning with Deep Convolutional
#   Generative Adversarial Networks", 2016: architecture, initialisation, Adam's settings, where batch
#   normalisation does not belong.
# * T. Miyato, T. Kataoka, M. Koyama and Y. Yoshida, "Spectral Normalization for Generative Adversarial
#   Networks", 2018.
