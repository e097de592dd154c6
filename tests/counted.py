"""An architecture that counts how often it is built, and that can die in the middle of a fit."""

import os
import signal
from pathlib import Path

from sklearn_cnn.architectures import ConvNet

# In the environment rather than parameters, which would be part of the key of a cached fit.
LOG, FATAL = "COUNTED_LOG", "COUNTED_FATAL"


class Counted(ConvNet):
    """A `ConvNet` that leaves a line in the file LOG a build; from number FATAL on a build kills.

    The process that builds it ends by SIGKILL, as by `kill -9`.
    """

    def build(self, in_channels, image_size, n_outputs):
        with open(os.environ[LOG], "a") as log:
            log.write(f"{os.getpid()}\n")
        if count() >= float(os.environ.get(FATAL, "inf")):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().build(in_channels, image_size, n_outputs)


def count():
    """Return how many builds there were."""
    return len(Path(os.environ[LOG]).read_text().splitlines())
