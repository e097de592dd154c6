"""A process with busy threads forks: the child fits and predicts as ever."""

import os
import subprocess
import sys
import textwrap

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_child_of_a_busy_process_answers(n_threads):
    script = f"""
        import os
        import threading
        import time
        import numpy as np
        import torch
        from sklearn_cnn import CNNClassifier
        from sklearn_cnn.architectures import ConvNet

        torch.set_num_threads({n_threads})
        X = np.random.default_rng(0).integers(0, 256, (200, 16, 16), dtype=np.uint8)
        y = np.arange(len(X)) % 2
        model = CNNClassifier(ConvNet((8, 16)), max_epochs=1, random_state=0)
        fitted = model.fit(X, y)
        expected = fitted.predict(X)
        rounds = [0, 0, 0]

        def work(number, do):
            while True:
                do(X, y)
                rounds[number] += 1

        def fit_another(X, y):
            CNNClassifier(ConvNet((8, 16)), max_epochs=1).fit(X, y)

        for number, do in enumerate((fit_another, fit_another, fitted.score)):
            threading.Thread(target=work, args=(number, do), daemon=True).start()
        for _ in range(3):
            n_before = sum(rounds)
            while sum(rounds) < n_before + 3:
                time.sleep(0.01)
            child = os.fork()
            if child == 0:
                assert torch.get_num_threads() == 1
                agrees = np.mean(fitted.predict(X) == expected)
                model.fit(X, y)
                os._exit(0 if agrees == 1 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert torch.get_num_threads() == {n_threads}
        os._exit(0)
    """
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path)}
    code = textwrap.dedent(script)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, env=environment, timeout=90
    )
