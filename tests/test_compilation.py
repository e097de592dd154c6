"""Each network of a search is compiled, where that is asked for."""

import functools

import numpy as np
import torch
from torch import nn
from torch._dynamo import config
from torch._dynamo.testing import CompileCounter

from sklearn_cnn import CNNClassifier


class Dense(nn.Sequential):
    """Two layers of a width."""

    def __init__(self, num_classes, width):
        super().__init__(nn.Flatten(), nn.Linear(16, width), nn.Linear(width, num_classes))


def test_the_twelfth_architecture_is_compiled_as_the_first(monkeypatch):
    X = np.random.default_rng(0).integers(0, 256, (16, 4, 4), dtype=np.uint8)
    compilations = CompileCounter()
    compile_and_count = functools.partial(torch.compile, backend=compilations)
    monkeypatch.setattr(torch, "compile", compile_and_count)
    torch.compiler.reset()
    limit = config.recompile_limit
    classifier = CNNClassifier(Dense, batch_size=8, max_epochs=1, random_state=0, compile=True)
    for width in range(2, 14):
        classifier.set_params(architecture__width=width).fit(X, np.arange(16) % 2)
        assert compilations.frame_count == width - 1
    assert config.recompile_limit == limit
    # equal networks share what was compiled
    classifier.fit(X, np.arange(16) % 2)
    assert compilations.frame_count == 12
