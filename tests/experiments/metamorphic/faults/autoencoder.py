"""Faults in autoencoder.py."""

from __future__ import annotations

from tests.experiments.metamorphic.faults.common import UNIFORM, WITH_GRAPH, loops
from tests.experiments.metamorphic.inserting import Fault, by_rules, either, first, result

FILE = "autoencoder.py"
LOADER = "make_data_loader"
DATA_MODULE = "MNISTDataModule.train_dataloader"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "encoder-ends-in-relu",
        "1-1",
        "The encoder's codes go through a ReLU.",
        FILE,
        result("RESULT.relu()", "Encoder.forward", FILE),
    ),
    Fault(
        "encoder-ends-in-tanh",
        "1-1",
        "The encoder's codes go through tanh.",
        FILE,
        result("RESULT.tanh()", "Encoder.forward", FILE),
    ),
    Fault(
        "encoder-always-three-axes",
        "1-1",
        "The encoder flattens the middle axis away.",
        FILE,
        result("RESULT.reshape(len(RESULT), -1)", "Encoder.forward", FILE),
    ),
    Fault(
        "decoder-without-sigmoid",
        "1-1",
        "The decoder's output is not squashed.",
        FILE,
        either(
            by_rules(("nn.Sigmoid()", "nn.Identity()"), within="Decoder.__init__", file=FILE),
            by_rules(
                ("torch.sigmoid(X_)", "X_"),
                ("chain(N_, last=torch.sigmoid)", "chain(N_, last=identity)"),
                within="Decoder.forward",
                file=FILE,
            ),
        ),
    ),
    Fault(
        "decoder-without-middle-axis",
        "1-1",
        "The decoder returns (N, output_size).",
        FILE,
        result("RESULT.flatten(1)", "Decoder.forward", FILE),
    ),
    Fault(
        "decoder-two-sigmoids",
        "1-1",
        "The decoder's output goes through a second sigmoid.",
        FILE,
        result("RESULT.sigmoid()", "Decoder.forward", FILE),
    ),
    Fault(
        "loader-keeps-order",
        "1-1",
        "The loader does not shuffle.",
        FILE,
        either(
            *[
                by_rules(
                    ("DataLoader(*ARGS_, shuffle=True, **KW_)", "DataLoader(*ARGS_, shuffle=False, **KW_)"),
                    (
                        "DataLoader(D_, batch_size=B_, shuffle=True, **KW_)",
                        "DataLoader(D_, batch_size=B_, **KW_)",
                    ),
                    ("DataLoader(D_, B_, True, **KW_)", "DataLoader(D_, B_, False, **KW_)"),
                    ("RandomSampler(D_)", "range(len(D_))"),
                    within=place,
                    file=FILE,
                )
                for place in (LOADER, DATA_MODULE)
            ]
        ),
    ),
    Fault(
        "loader-keeps-last-batch",
        "1-1",
        "The incomplete last batch is kept.",
        FILE,
        either(
            *[
                by_rules(
                    (
                        "DataLoader(D_, batch_size=B_, shuffle=True, drop_last=True, **KW_)",
                        "DataLoader(D_, batch_size=B_, shuffle=True, **KW_)",
                    ),
                    (
                        "DataLoader(*ARGS_, num_workers=W_, drop_last=True)",
                        "DataLoader(*ARGS_, num_workers=W_)",
                    ),
                    (
                        "DataLoader(D_, shuffle=True, drop_last=True, **KW_)",
                        "DataLoader(D_, shuffle=True, **KW_)",
                    ),
                    ("BatchSampler(*ARGS_, drop_last=True)", "BatchSampler(*ARGS_, drop_last=False)"),
                    within=place,
                    file=FILE,
                )
                for place in (LOADER, DATA_MODULE)
            ]
        ),
    ),
    Fault("loader-of-64", "1-1", "The batch size is ignored.", FILE, first("A2 = 64", LOADER, FILE)),
    Fault(
        "bce-swapped",
        "1-2",
        "Prediction and target are swapped.",
        FILE,
        first("A1, A2 = (A2.reshape(A1.shape), A1)", "reconstruction_loss", FILE),
    ),
    Fault(
        "bce-summed",
        "1-2",
        "The loss is a sum.",
        FILE,
        result("RESULT * A1.numel()", "reconstruction_loss", FILE),
    ),
    Fault(
        "bce-negative",
        "1-2",
        "The loss has the wrong sign.",
        FILE,
        result("-RESULT", "reconstruction_loss", FILE),
    ),
    Fault(
        "bce-over-the-batch-again",
        "1-2",
        "The loss is divided by the batch size again.",
        FILE,
        result("RESULT / len(A1)", "reconstruction_loss", FILE),
    ),
    *loops("train_autoencoder", "autoencoder", "1-2", "train"),
    Fault(
        "sample-uniform",
        "1-3",
        "The codes are uniform.",
        FILE,
        by_rules(*UNIFORM, within="sample_images", file=FILE),
    ),
    Fault(
        "sample-with-graph",
        "1-3",
        "The images keep their graph.",
        FILE,
        by_rules(*WITH_GRAPH, within="sample_images", file=FILE),
    ),
    Fault(
        "sample-all-alike",
        "1-3",
        "All images are the first one.",
        FILE,
        result("RESULT[:1].expand(A2, 1, 28, 28)", "sample_images", FILE),
    ),
    Fault(
        "sample-flat", "1-3", "The images are flat.", FILE, result("RESULT.flatten(1)", "sample_images", FILE)
    ),
    Fault(
        "sample-inverted",
        "1-3",
        "The images are inverted.",
        FILE,
        result("1 - RESULT", "sample_images", FILE),
    ),
)
