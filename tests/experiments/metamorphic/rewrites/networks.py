"""Layers: how networks are put together, and how they are called."""

from __future__ import annotations

import ast
import random

from tests.experiments.metamorphic.patterns import Rule
from tests.experiments.metamorphic.rewriting import Rewrite, by_rules, by_tree

PARTS = ("Encoder", "Decoder")


def _classes(tree: ast.Module, *names: str) -> list[ast.ClassDef]:
    return [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in names]


def _is_self_net(node: ast.AST) -> bool:
    return ast.unparse(node) == "self.net"


def _method(source: str) -> ast.stmt:
    return ast.parse(source).body[0]


def _module_list(tree: ast.Module, _: random.Random) -> bool:
    """self.net = nn.Sequential(...) becomes a ModuleList, and forward a loop over it."""
    done = False
    for owner in _classes(tree, *PARTS):
        made = [
            n
            for n in ast.walk(owner)
            if isinstance(n, ast.Assign)
            and _is_self_net(n.targets[0])
            and isinstance(n.value, ast.Call)
            and ast.unparse(n.value.func) == "nn.Sequential"
            and n.value.args
        ]
        calls = [n for n in ast.walk(owner) if isinstance(n, ast.Call) and _is_self_net(n.func)]
        if not made or not calls:
            continue
        for assign in made:
            assert isinstance(assign.value, ast.Call)
            layers = ast.List(assign.value.args, ast.Load())
            assign.value = ast.Call(ast.parse("nn.ModuleList", mode="eval").body, [layers], [])
        for call in calls:
            call.func = ast.parse("self.through", mode="eval").body
        owner.body.append(
            _method("def through(self, h):\n    for layer in self.net:\n        h = layer(h)\n    return h")
        )
        done = True
    return done


def _own_attributes(tree: ast.Module, _: random.Random) -> bool:
    """The layers of a Sequential become attributes, and its activations function calls."""
    done = False
    for owner in _classes(tree, *PARTS):
        for node in ast.walk(owner):
            if not (isinstance(node, ast.FunctionDef) and node.name == "__init__"):
                continue
            for at, statement in enumerate(node.body):
                made = (
                    statement.value
                    if isinstance(statement, ast.Assign) and _is_self_net(statement.targets[0])
                    else None
                )
                if not (
                    isinstance(made, ast.Call)
                    and made.args
                    and all(isinstance(a, ast.Call) for a in made.args)
                ):
                    continue
                layers: list[ast.stmt] = []
                steps: list[str] = []
                for layer in made.args:
                    text = ast.unparse(layer)
                    if text.startswith("nn.Linear("):
                        layers.append(_method(f"self.linear{len(layers) + 1} = {text}"))
                        steps.append(f"h = self.linear{len(layers)}(h)")
                    elif text in ("nn.ReLU()", "nn.Sigmoid()"):
                        steps.append(f"h = {'torch.relu' if 'ReLU' in text else 'torch.sigmoid'}(h)")
                    else:
                        break
                else:
                    node.body[at : at + 1] = layers
                    for call in ast.walk(owner):
                        if isinstance(call, ast.Call) and _is_self_net(call.func):
                            call.func = ast.parse("self.through", mode="eval").body
                    owner.body.append(
                        _method("def through(self, h):\n    " + "\n    ".join([*steps, "return h"]))
                    )
                    done = True
                    break
    return done


def _stack(tree: ast.Module, _: random.Random) -> bool:
    """A subclass takes the place of nn.Sequential."""
    found = False
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            if isinstance(node, ast.Call) and field == "func" and ast.unparse(value) == "nn.Sequential":
                node.func, found = ast.Name("Stack", ast.Load()), True
    if found:
        first = next(i for i, node in enumerate(tree.body) if isinstance(node, ast.ClassDef))
        tree.body.insert(
            first, _method('class Stack(nn.Sequential):\n    """Layers, one after the other."""')
        )
    return found


REWRITES: tuple[Rewrite, ...] = (
    by_tree(
        "layers-in-a-module-list",
        "The layers are in a ModuleList, and forward loops over them.",
        _module_list,
    ),
    by_tree("layers-as-attributes", "Every layer is an attribute of its own.", _own_attributes),
    by_tree("layers-in-a-subclass", "The layers are in a subclass of Sequential.", _stack),
    by_rules(
        "relu-in-place",
        "ReLU works in place.",
        Rule("nn.ReLU()", "nn.ReLU(inplace=True)", within=".*__init__|mlp"),
    ),
    by_rules(
        "relu-as-threshold",
        "Threshold takes the place of ReLU.",
        Rule("nn.ReLU()", "nn.Threshold(0.0, 0.0)", within=".*__init__|mlp"),
    ),
    by_rules(
        "relu-as-leaky-relu",
        "A leaky ReLU without a leak.",
        Rule("nn.ReLU()", "nn.LeakyReLU(0.0)", within=".*__init__|mlp"),
    ),
    by_rules(
        "linear-with-options",
        "Linear layers are told their options.",
        Rule(
            "nn.Linear(A_, B_)", "nn.Linear(in_features=A_, out_features=B_, bias=True)", within=".*__init__"
        ),
    ),
    by_rules(
        "net-by-functional-call",
        "torch.func calls the network.",
        ("self.net(E_)", "torch.func.functional_call(self.net, dict(self.net.named_parameters()), (E_,))"),
    ),
    by_rules(
        "net-by-forward",
        "The network's forward is called by name.",
        Rule("self.net(E_)", "self.net.forward(E_)", within=r"(Encoder|Decoder|CVAE.*)\.forward"),
    ),
    by_rules(
        "parts-called-by-call",
        "Networks are called through __call__.",
        Rule("self.decoder(*ARGS_)", "self.decoder.__call__(*ARGS_)", within=r"C?VAE\..*"),
    ),
    by_rules(
        "parts-in-float-of-parameters",
        "The decoder is called by a small function.",
        Rule("self.decoder(*ARGS_)", "(lambda decoder: decoder(*ARGS_))(self.decoder)", within=r"C?VAE\..*"),
    ),
    by_rules(
        "encode-and-decode-apart",
        "reconstruct does one thing a line.",
        Rule(
            "return self.decoder(mu).reshape(len(x), 28, 28)",
            "pixels = self.decoder(mu)\nreturn pixels.reshape(len(x), 28, 28)",
        ),
        Rule(
            "return self.decoder(mu, c).reshape(len(x), 28, 28)",
            "pixels = self.decoder(mu, c)\nreturn pixels.view(len(x), 28, 28)",
        ),
    ),
    by_rules(
        "sampling-inline",
        "forward draws the code itself.",
        Rule(
            "z = self.reparameterize(mu, log_sigma)",
            "z = mu + torch.exp(log_sigma) * torch.randn_like(mu)",
            within=r"C?VAE\.forward",
        ),
    ),
    by_rules(
        "reparameterize-by-keywords",
        "reparameterize is called with names.",
        Rule(
            "self.reparameterize(A_, B_)",
            "self.reparameterize(log_sigma=B_, mu=A_)",
            within=r"C?VAE\.forward",
        ),
    ),
    by_rules(
        "one-hot-by-scatter",
        "One-hot rows by scatter.",
        (
            "F.one_hot(I_, N_).float()",
            "torch.zeros(len(I_), N_, device=I_.device).scatter_(1, I_[:, None], 1.0)",
        ),
    ),
    by_rules(
        "one-hot-by-identity",
        "One-hot rows from an identity matrix.",
        ("F.one_hot(I_, N_).float()", "torch.eye(N_, device=I_.device)[I_]"),
        ("torch.eye(N_, dtype=D_, device=V_)[L_]", "torch.nn.functional.one_hot(L_, N_).to(D_)"),
    ),
    by_rules(
        "one-hot-by-comparison",
        "One-hot rows by comparison.",
        ("F.one_hot(I_, N_).float()", "(I_[:, None] == torch.arange(N_, device=I_.device)).float()"),
    ),
    by_rules(
        "one-hot-by-type",
        "One-hot rows are cast by name.",
        ("F.one_hot(I_, N_).float()", "F.one_hot(I_, num_classes=N_).to(torch.float32)"),
    ),
)
