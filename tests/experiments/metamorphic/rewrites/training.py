"""Loops, optimisers and histories."""

from __future__ import annotations

from tests.experiments.metamorphic.patterns import Rule
from tests.experiments.metamorphic.rewriting import Rewrite, by_rules

LOOPS = r"train_.*|Trainer\..*|batches|stepper"
STEP = "O_.zero_grad()\nL_.backward()\nO_.step()"
SET_STEP = "O_.zero_grad(set_to_none=True)\nL_.backward()\nO_.step()"
ADAM = ("torch.optim.Adam(P_, lr=R_)", "torch.optim.Adam(P_, R_)", "optim.Adam(P_, lr=R_)")


def _steps(replace: str, within: str = LOOPS) -> list[Rule]:
    return [Rule(find, replace, within) for find in (STEP, SET_STEP)]


def _adam(replace: str, within: str = LOOPS) -> list[Rule]:
    return [Rule(find, replace, within) for find in ADAM]


REWRITES: tuple[Rewrite, ...] = (
    by_rules(
        "gradients-cleared-after-the-step",
        "Gradients are cleared after the step.",
        *_steps("L_.backward()\nO_.step()\nO_.zero_grad()"),
    ),
    by_rules(
        "gradients-cleared-to-zeros",
        "Gradients are filled with zeros.",
        Rule("O_.zero_grad()", "O_.zero_grad(set_to_none=False)", within=LOOPS),
        Rule("O_.zero_grad(set_to_none=True)", "O_.zero_grad(False)", within=LOOPS),
    ),
    by_rules(
        "gradients-cleared-by-hand",
        "Every parameter's gradient is set to None.",
        *_steps(
            "for group in O_.param_groups:\n    for p in group['params']:\n        p.grad = None\nL_.backward()\nO_.step()"
        ),
    ),
    by_rules(
        "gradients-cleared-by-the-model",
        "The model clears its gradients.",
        Rule(STEP, "model.zero_grad()\nL_.backward()\nO_.step()", within="train_.*"),
    ),
    by_rules(
        "gradients-by-autograd",
        "torch.autograd.grad computes the gradients, which are assigned.",
        *_steps(
            "parameters = [p for group in O_.param_groups for p in group['params']]\n"
            "for p, g in zip(parameters, torch.autograd.grad(L_, parameters)):\n    p.grad = g\nO_.step()"
        ),
    ),
    by_rules(
        "step-with-closure",
        "The step calls a closure.",
        *_steps("def closure():\n    O_.zero_grad()\n    L_.backward()\n    return L_\nO_.step(closure)"),
    ),
    by_rules(
        "backward-as-function",
        "torch.autograd.backward is called.",
        Rule("L_.backward();", "torch.autograd.backward(L_);", within=LOOPS),
    ),
    by_rules(
        "gradients-scaled-back",
        "The gradients are computed of half of the loss, twice.",
        *_steps("O_.zero_grad()\n(L_ / 2).backward(retain_graph=True)\n(L_ / 2).backward()\nO_.step()"),
    ),
    by_rules(
        "epochs-by-while",
        "A while loop counts the epochs.",
        Rule(
            "for _ in range(epochs):\n    REST_",
            "epochs_done = 0\nwhile epochs_done < epochs:\n    epochs_done += 1\n    REST_",
            LOOPS,
        ),
        Rule(
            "for _ in range(config.epochs):\n    REST_",
            "left = config.epochs\nwhile left:\n    left -= 1\n    REST_",
            LOOPS,
        ),
    ),
    by_rules(
        "epochs-by-repeat",
        "itertools repeats the loader.",
        Rule(
            "for _ in range(epochs):\n    for T_ in loader:\n        REST_",
            "for again in itertools.repeat(loader, epochs):\n    for T_ in again:\n        REST_",
            LOOPS,
        ),
        needs=["import itertools"],
    ),
    by_rules(
        "epochs-in-one-loop",
        "All batches of all epochs are in one loop.",
        Rule(
            "for _ in range(epochs):\n    for T_ in loader:\n        REST_",
            "for T_ in (batch for _ in range(epochs) for batch in loader):\n    REST_",
            LOOPS,
        ),
    ),
    by_rules(
        "batches-enumerated",
        "Batches are enumerated.",
        Rule("for T_ in loader:\n    REST_", "for number, T_ in enumerate(loader):\n    REST_", LOOPS),
    ),
    by_rules(
        "batches-by-next",
        "next() gives the batches.",
        Rule(
            "for T_ in loader:\n    REST_",
            "stream = iter(loader)\nwhile True:\n    try:\n        T_ = next(stream)\n    except StopIteration:\n"
            "        break\n    REST_",
            LOOPS,
        ),
    ),
    by_rules(
        "batches-by-index",
        "The batches of an epoch are listed and indexed.",
        Rule(
            "for T_ in loader:\n    REST_",
            "batch_list = list(loader)\nfor number in range(len(batch_list)):\n    T_ = batch_list[number]\n    REST_",
            LOOPS,
        ),
    ),
    by_rules(
        "batches-with-progress",
        "tqdm shows the progress.",
        Rule(
            "for T_ in loader:\n    REST_",
            "for T_ in tqdm(loader, desc='training', leave=False):\n    REST_",
            LOOPS,
        ),
        needs=["from tqdm import tqdm"],
    ),
    by_rules(
        "batches-counted-down",
        "range counts the batches.",
        Rule(
            "for T_ in loader:\n    REST_",
            "stream = iter(loader)\nfor left in range(len(loader), 0, -1):\n    T_ = next(stream)\n    REST_",
            LOOPS,
        ),
    ),
    by_rules(
        "adam-with-options",
        "Adam is told its defaults.",
        *_adam("torch.optim.Adam(params=list(P_), lr=R_, betas=(0.9, 0.999), eps=1e-08)"),
    ),
    by_rules(
        "adam-by-groups",
        "Adam is given parameter groups.",
        *_adam("torch.optim.Adam([{'params': list(P_), 'lr': R_}])"),
    ),
    by_rules(
        "adamw-without-decay",
        "AdamW without decay is Adam.",
        *_adam("torch.optim.AdamW(P_, lr=R_, weight_decay=0.0)"),
    ),
    by_rules(
        "adam-for-each",
        "Adam works on lists of tensors.",
        *_adam("torch.optim.Adam(P_, lr=R_, foreach=True)"),
    ),
    by_rules(
        "adam-rate-set-later",
        "The learning rate is set after Adam was made.",
        Rule(
            "O_ = torch.optim.Adam(P_, lr=R_)",
            "O_ = torch.optim.Adam(P_)\nO_.param_groups[0]['lr'] = R_",
            within="train_.*",
        ),
        Rule(
            "O_ = torch.optim.Adam(P_, R_)",
            "O_ = torch.optim.Adam(P_)\nO_.param_groups[0]['lr'] = R_",
            within="train_.*",
        ),
    ),
    by_rules(
        "adam-of-named-parameters",
        "Adam's parameters come from named_parameters.",
        *_adam("torch.optim.Adam([p for _, p in model.named_parameters()], lr=R_)", within="train_.*"),
    ),
    by_rules(
        "training-mode-by-flag",
        "train(True) sets the training mode.",
        Rule("model.train();", "model.train(True);", within=LOOPS),
        Rule("model.train()", "model.train(mode=True)", within=LOOPS),
    ),
    by_rules(
        "numbers-by-float", "float() makes a number of a loss.", Rule("L_.item()", "float(L_)", within=LOOPS)
    ),
    by_rules(
        "numbers-by-tolist",
        "tolist() makes a number of a loss.",
        Rule("L_.item()", "L_.detach().tolist()", within=LOOPS),
        Rule("float(L_)", "L_.detach().item()", within="train_.*"),
    ),
    by_rules(
        "numbers-by-numpy",
        "NumPy makes a number of a loss.",
        Rule("L_.item()", "float(L_.detach().cpu().numpy())", within=LOOPS),
    ),
    by_rules(
        "loss-noted-before-the-step",
        "The loss is noted before the step.",
        Rule(
            "O_.zero_grad()\nL_.backward()\nO_.step()\nH_.append(L_.item())",
            "H_.append(L_.item())\nO_.zero_grad()\nL_.backward()\nO_.step()",
        ),
    ),
    by_rules(
        "history-by-extend",
        "Histories grow by extend or +=.",
        Rule("H_.append(V_);", "H_.extend([V_]);", within="train_.*"),
    ),
    by_rules(
        "history-by-setdefault",
        "The history's lists are made when they are needed.",
        Rule(
            "H_ = {'rec_loss': [], 'kl_loss': []}",
            "H_ = dict.fromkeys(['rec_loss', 'kl_loss'])\nfor _name in H_:\n    H_[_name] = []",
            within="train_.*",
        ),
    ),
    by_rules(
        "model-moved-again",
        "The model is moved to the device, where it is already.",
        Rule("model.train();", "model.to(device).train();", within="train_.*"),
    ),
    by_rules(
        "training-mode-every-batch",
        "The training mode is set again for every batch.",
        Rule(
            "O_.zero_grad()\nL_.backward()\nO_.step()",
            "O_.zero_grad()\nL_.backward()\nO_.step()\nmodel.train()",
            within="train_.*",
        ),
    ),
    by_rules(
        "model-forward-by-name",
        "The model's forward is called through __call__.",
        Rule("model(*ARGS_)", "model.__call__(*ARGS_)", within="train_.*"),
    ),
    by_rules(
        "inputs-detached",
        "Batches are detached and made contiguous.",
        *[
            Rule(f"{images}.to(device)", f"{images}.to(device).detach().contiguous()", within="train_.*")
            for images in ("images", "img", "data[0]", "batch[0]")
        ],
    ),
)
