"""A process with busy threads forks: the child fits and predicts as ever."""

import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore"),
]

SECONDS = 120
# What a process forks with: a model that has computed on two threads, and what children do with it.
PREPARED = """
    import numpy as np
    import torch
    from sklearn.base import clone
    from sklearn_cnn import CNNClassifier
    from sklearn_cnn.architectures import ConvNet

    torch.set_num_threads(2)
    X = np.random.default_rng(0).integers(0, 256, (200, 16, 16), dtype=np.uint8)
    y = np.arange(len(X)) % 2
    model = {model}
    expected = model.predict_proba(X)

    def answer(_=None):
        np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-5)
        again = clone(model).fit(X, y).predict_proba(X)
        np.testing.assert_allclose(again.sum(axis=1), 1, atol=1e-5)
        return "answered"

    def application(request, start):
        start("200 OK", [])
        return [answer().encode()]
"""
SERVICE = """
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse
    from prepared import answer

    application = FastAPI()

    @application.get("/", response_class=PlainTextResponse)
    def reply():
        return answer()
"""
FORKS = {
    "multiprocessing": """
        import multiprocessing
        from prepared import answer

        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(answer, range(3), chunksize=1) == ["answered"] * 3
    """,
    "joblib": """
        import joblib
        from prepared import answer

        with joblib.parallel_config("multiprocessing", n_jobs=2):
            assert joblib.Parallel()(joblib.delayed(answer)() for _ in range(3)) == ["answered"] * 3
    """,
}


def environment(*folders):
    """Return the variables of a process that imports what lies in some folders."""
    # two threads that spin would take each other's core
    path = os.pathsep.join([*map(str, folders), *sys.path])
    return {"PATH": "", "PYTHONPATH": path, "OMP_WAIT_POLICY": "passive"}


@pytest.fixture(params=["fit", "load"])
def prepared(request, tmp_path):
    """A folder with the module that has a fitted model."""
    model = "CNNClassifier(ConvNet((8, 16)), max_epochs=1, random_state=0).fit(X, y)"
    if request.param == "load":
        X = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)
        fitted = CNNClassifier(ConvNet((8, 16)), max_epochs=1).fit(X, np.arange(20) % 2)
        fitted.save(tmp_path / "model")
        model = f"CNNClassifier.load({str(tmp_path / 'model')!r})"
    code = textwrap.dedent(PREPARED).replace("{model}", model)
    (tmp_path / "prepared.py").write_text(code, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("how", FORKS)
def test_processes_forked_from_one_that_has_computed_answer(how, prepared):
    code = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORKS[how])]
    subprocess.run(code, check=True, env=environment(prepared), timeout=SECONDS)


@pytest.mark.parametrize(
    ("module", "worker"), [("prepared", "sync"), ("service", "uvicorn.workers.UvicornWorker")]
)
def test_a_server_that_loads_before_it_forks_answers(module, worker, prepared):
    for package in "gunicorn", "fastapi", "uvicorn":
        pytest.importorskip(package)
    httpx = pytest.importorskip("httpx")
    (prepared / "service.py").write_text(textwrap.dedent(SERVICE), encoding="utf-8")
    socket = prepared / "socket"
    options = ["--preload", "-w", "2", "-k", worker, "-t", str(SECONDS), "--bind", f"unix:{socket}"]
    command = [sys.executable, "-W", "ignore", "-m", "gunicorn", *options, f"{module}:application"]
    server = subprocess.Popen(command, env=environment(prepared), cwd=prepared)
    try:
        until = time.monotonic() + SECONDS
        while not socket.exists():
            assert server.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        transport = httpx.HTTPTransport(uds=str(socket))
        with (
            httpx.Client(transport=transport, base_url="http://server", timeout=SECONDS) as client,
            ThreadPoolExecutor(2) as executor,
        ):
            replies = list(executor.map(client.get, ["/"] * 4))
    finally:
        server.terminate()
        server.wait(SECONDS)
    assert [(reply.status_code, reply.text) for reply in replies] == [(200, "answered")] * 4


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
    code = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    subprocess.run(code, check=True, env=environment(), timeout=SECONDS)
