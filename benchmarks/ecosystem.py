"""Which tools of others work beside the estimators, each tried as docs/ecosystem.md writes it.

    python benchmarks/ecosystem.py               all that are installed
    python benchmarks/ecosystem.py mapie shap    those whose packages are given

Prints a row a tool: its version, and whether what the guide says of it holds. What is not installed
is named. Ends with an error if a tool that is installed does not work. On two cores it takes some
three minutes; the networks are narrow, the images few, and scores mean nothing.
"""

import functools
import platform
import sys
import tempfile
import time
import traceback
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import joblib
import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_cnn import CNNClassifier, CNNFeatures, CNNRegressor
from sklearn_cnn.architectures import ConvNet, TimmModel

DIGITS = load_digits()
IMAGES, Y = (DIGITS.images[:300] * 15).astype(np.uint8), DIGITS.target[:300]
ROWS = IMAGES.reshape(300, 64)


def classifier(**params):
    """Return a classifier that learns the digits in a moment."""
    params = {"max_epochs": 10, "batch_size": 32, "random_state": 0, **params}
    return CNNClassifier(ConvNet((8,)), **params)


def regressor(**params):
    """Return the same for numbers."""
    return CNNRegressor(ConvNet((8,)), max_epochs=5, batch_size=32, random_state=0, **params)


def files(folder, images=IMAGES):
    """Write images as files, and return their paths as a 1-D array."""
    paths = np.array([f"{folder}/{row}.png" for row in range(len(images))])
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


def mapie(folder):
    """Sets and intervals from paths, fitted before; from flat rows; by folds."""
    from mapie.classification import CrossConformalClassifier, SplitConformalClassifier
    from mapie.regression import CrossConformalRegressor, SplitConformalRegressor

    paths = files(folder)
    fitted = classifier().fit(paths[:150], Y[:150])
    sets = SplitConformalClassifier(fitted, confidence_level=0.9, prefit=True)
    labels, members = sets.conformalize(paths[150:250], Y[150:250]).predict_set(paths[250:])
    np.testing.assert_array_equal(labels, fitted.predict(paths[250:]))
    assert members.shape == (50, 10, 1)
    sets = SplitConformalClassifier(classifier(image_shape=(8, 8)), prefit=False)
    sets.fit(ROWS[:150], Y[:150]).conformalize(ROWS[150:], Y[150:]).predict_set(ROWS[:9])
    CrossConformalClassifier(classifier(), cv=3).fit_conformalize(paths, Y).predict_set(paths[:9])
    intervals = SplitConformalRegressor(regressor().fit(paths[:150], Y[:150]), prefit=True)
    _, limits = intervals.conformalize(paths[150:], Y[150:]).predict_interval(paths[:9])
    assert (limits[:, 0] < limits[:, 1]).all()
    folds = CrossConformalRegressor(regressor(), cv=3).fit_conformalize(paths, Y)
    folds.predict_interval(paths[:9])


def cleanlab(folder):
    """Labels that were made wrong are found, from paths and from images."""
    from cleanlab.classification import CleanLearning
    from cleanlab.filter import find_label_issues

    labels = Y.copy()
    labels[:30:3] = (labels[:30:3] + 1) % 10
    probabilities = cross_val_predict(classifier(), IMAGES, labels, cv=3, method="predict_proba")
    assert find_label_issues(labels, probabilities)[:30:3].sum() >= 5
    for X in (files(folder), ROWS):
        cleaned = CleanLearning(classifier(), seed=0, cv_n_folds=3).fit(X, labels)
        assert cleaned.get_label_issues()["is_label_issue"][:30:3].sum() >= 5
        assert (cleaned.predict(X) == Y).mean() > 0.8


def imbalanced_learn(folder):
    """Samplers of rows, and of a column of paths, before the network in their Pipeline."""
    from imblearn.over_sampling import SMOTE, RandomOverSampler
    from imblearn.pipeline import make_pipeline
    from imblearn.under_sampling import RandomUnderSampler

    y = Y > 7
    for sampler in (SMOTE(random_state=0), RandomUnderSampler(random_state=0)):
        network = classifier(image_shape=(8, 8))
        cross_val_score(make_pipeline(sampler, network), ROWS, y, cv=3, error_score="raise")
    column = files(folder)[:, np.newaxis]
    pipeline = make_pipeline(RandomOverSampler(random_state=0), classifier()).fit(column, y)
    assert pipeline.score(column, y) > 0.8


def shap(_):
    """Gradients of the exported module, and a partition of the image by its predictions."""
    import shap

    fitted = classifier().fit(IMAGES, Y)
    module = fitted.export_module(output="decision_function")
    pixels = torch.from_numpy(IMAGES[..., np.newaxis]).float()
    values = shap.GradientExplainer(module, pixels[:50]).shap_values(pixels[50:52], nsamples=20)
    assert values.shape == (2, 8, 8, 1, 10)
    masker = shap.maskers.Image(np.zeros((8, 8, 1)), (8, 8, 1))
    explainer = shap.Explainer(fitted.predict_proba, masker, output_names=list(fitted.classes_))
    assert explainer(pixels[:2].numpy(), max_evals=150).values.shape == (2, 8, 8, 1, 10)


def captum(_):
    """Integrated gradients of the exported module sum to the difference of its outputs."""
    from captum.attr import IntegratedGradients, Occlusion

    module = classifier().fit(IMAGES, Y).export_module(output="decision_function")
    pixels, targets = torch.from_numpy(IMAGES[:4]).float(), torch.from_numpy(Y[:4])
    found, error = IntegratedGradients(module).attribute(
        pixels, target=targets, n_steps=200, return_convergence_delta=True
    )
    assert found.shape == pixels.shape
    assert error.abs().max() < 0.1
    Occlusion(module).attribute(pixels, (2, 2), target=targets)


def grad_cam(_):
    """Maps of a layer of the fitted module."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    module = classifier().fit(IMAGES, Y).module_.eval()
    layer = [part for part in module.modules() if isinstance(part, torch.nn.Conv2d)][-1]
    pixels = torch.from_numpy(IMAGES[:2, np.newaxis]).float()
    with GradCAM(module, [layer]) as cam:
        assert cam(pixels, [ClassifierOutputTarget(y) for y in Y[:2]]).shape == (2, 8, 8)


def mlxtend(_):
    """Votes and stacks of networks, and the bias and variance of one."""
    from mlxtend.classifier import EnsembleVoteClassifier, StackingCVClassifier
    from mlxtend.evaluate import bias_variance_decomp, mcnemar, mcnemar_table

    networks = [classifier(), classifier(random_state=1)]
    vote = EnsembleVoteClassifier(networks, voting="soft").fit(IMAGES, Y)
    assert vote.score(IMAGES, Y) > 0.9
    stack = StackingCVClassifier(networks, LogisticRegression(), use_probas=True, cv=2)
    assert stack.fit(ROWS, Y).score(ROWS, Y) > 0.9
    parts = ROWS[:200], Y[:200], ROWS[200:], Y[200:]
    bias_variance_decomp(classifier(), *parts, num_rounds=3, random_seed=0)
    first, second = (network.fit(*parts[:2]).predict(parts[2]) for network in networks)
    mcnemar(mcnemar_table(parts[3], first, second))


def skore(_):
    """Reports on one split and in folds."""
    from skore import CrossValidationReport, EstimatorReport

    parts = {"X_train": IMAGES[:200], "y_train": Y[:200], "X_test": IMAGES[200:]}
    report = EstimatorReport(classifier(), **parts, y_test=Y[200:])
    assert report.metrics.accuracy() > 0.5
    report.metrics.summarize().frame()
    CrossValidationReport(classifier(), ROWS, Y, splitter=3).metrics.summarize().frame()


def skrub(folder):
    """Features of a column of paths beside a table, and a pipeline of data operations."""
    import pandas as pd
    import skrub

    frame = pd.DataFrame({"photo": files(folder), "age": np.arange(300.0)})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*random weights")
        features = CNNFeatures(ConvNet((8,)))
        table = skrub.TableVectorizer(specific_transformers=[(features, ["photo"])])
        assert (
            make_pipeline(table, LogisticRegression(max_iter=1000)).fit(frame, Y).score(frame, Y)
            > 0.5
        )
    photos = skrub.var("frame", frame)[["photo"]].skb.mark_as_X()
    target = skrub.var("y", pd.Series(Y)).skb.mark_as_y()
    predictions = photos.skb.apply(classifier(), y=target)
    assert predictions.skb.make_learner(fitted=True).score({"frame": frame, "y": Y}) > 0.8


def scikit_optimize(_):
    """A Bayesian search over numbers."""
    from skopt import BayesSearchCV

    spaces = {"lr": (1e-3, 3e-2, "log-uniform"), "architecture__dropout": (0.0, 0.5)}
    search = BayesSearchCV(classifier(), spaces, n_iter=4, cv=2, random_state=0)
    assert search.fit(ROWS, Y).best_params_.keys() == spaces.keys()


def sklearn_genetic_opt(_):
    """A genetic search over numbers and names."""
    from sklearn_genetic import GASearchCV
    from sklearn_genetic.space import Categorical, Continuous

    space = {
        "lr": Continuous(1e-3, 3e-2, distribution="log-uniform"),
        "lr_schedule": Categorical(["one_cycle", "cosine"]),
    }
    search = GASearchCV(
        classifier(), param_grid=space, cv=2, population_size=4, generations=2, verbose=False
    )
    assert search.fit(ROWS, Y).best_params_.keys() == space.keys()


def ray(_):
    """A cross-validation on Ray's workers has the scores of one in this process."""
    import ray
    from ray.util.joblib import register_ray

    # as many as Ray gives a worker: sums are added in the same order
    torch.set_num_threads(1)
    register_ray()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        with joblib.parallel_config("ray"):
            scores = cross_val_score(classifier(), IMAGES, Y, cv=2, n_jobs=2)
    finally:
        ray.shutdown()
    np.testing.assert_array_equal(scores, cross_val_score(classifier(), IMAGES, Y, cv=2))


def hugging_face_datasets(folder):
    """Columns of images, decoded and not, are the images of an array."""
    from datasets import Dataset, Features, Value
    from datasets import Image as Images

    columns = {"image": files(folder).tolist(), "label": Y}
    data = Dataset.from_dict(columns, Features(image=Images(), label=Value("int64")))
    encoded = data.cast_column("image", Images(decode=False))
    fitted = classifier().fit(encoded["image"], data["label"])
    expected = classifier().fit(IMAGES, Y).predict_proba(IMAGES)
    for X in (encoded["image"][:], data["image"], data["image"][:]):
        np.testing.assert_array_equal(fitted.predict_proba(X), expected)


def kornia(_):
    """Each image of a batch has a draw of its own."""
    from kornia.augmentation import AugmentationSequential, RandomAffine

    changes = AugmentationSequential(
        RandomAffine(degrees=10, translate=(0.1, 0.1)), data_keys=["input"]
    )
    floats = IMAGES.astype(np.float32) / 255
    fitted = classifier(augmentation=changes).fit(floats, Y)
    again = classifier(augmentation=changes).fit(floats, Y)
    assert fitted.loss_curve_ == again.loss_curve_
    assert fitted.loss_curve_ != classifier().fit(floats, Y).loss_curve_
    assert fitted.score(floats, Y) > 0.5


def timm(_):
    """A network by its name, and one that timm's function makes."""
    import timm

    colours = np.repeat(np.kron(IMAGES[:40], np.ones((4, 4), np.uint8))[..., None], 3, axis=3)
    CNNClassifier(TimmModel("resnet10t"), max_epochs=1, random_state=0).fit(colours, Y[:40])
    factory = functools.partial(timm.create_model, "resnet10t")
    CNNClassifier(factory, max_epochs=1, random_state=0).fit(colours, Y[:40])


class Albumentations:
    """A batch of torch, image by image through a `Compose` of albumentations."""

    def __init__(self, compose):
        self.compose = compose

    def __call__(self, batch):
        """Change a batch of shape (b, C, H, W)."""
        self.compose.set_random_seed(int(torch.randint(2**31, ())))
        images = batch.permute(0, 2, 3, 1).cpu().numpy()
        changed = np.stack([self.compose(image=image)["image"] for image in images])
        return torch.from_numpy(changed).permute(0, 3, 1, 2).to(batch.device)


def albumentations(_):
    """A function of a batch around Compose, whose seed `fit` draws."""
    from albumentations import Affine, Compose

    changes = Albumentations(Compose([Affine(rotate=(-10, 10), p=1.0)]))
    fitted = classifier(augmentation=changes).fit(IMAGES, Y)
    assert fitted.loss_curve_ == classifier(augmentation=changes).fit(IMAGES, Y).loss_curve_
    assert fitted.loss_curve_ != classifier().fit(IMAGES, Y).loss_curve_


def mlflow(folder):
    """Models kept by cloudpickle and by skops; a Pipeline logged by itself."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.set_experiment(
        experiment_id=mlflow.create_experiment("digits", artifact_location=folder.as_uri())
    )
    fitted = classifier().fit(ROWS, Y)
    trusted = ["sklearn_cnn._classifier.CNNClassifier"]
    for kept in ({"serialization_format": "cloudpickle"}, {"skops_trusted_types": trusted}):
        with mlflow.start_run():
            model = mlflow.sklearn.log_model(
                fitted, name="network", pip_requirements=["sklearn-cnn"], **kept
            )
        loaded = mlflow.sklearn.load_model(model.model_uri)
        np.testing.assert_array_equal(loaded.predict_proba(ROWS), fitted.predict_proba(ROWS))
    mlflow.sklearn.autolog()
    try:
        with mlflow.start_run() as run:
            make_pipeline(classifier()).fit(ROWS, Y)
    finally:
        mlflow.sklearn.autolog(disable=True)
    logged = mlflow.get_run(run.info.run_id).data
    assert logged.params["cnnclassifier__max_epochs"] == "10"
    assert logged.metrics["training_accuracy_score"] > 0.5


# package to what is tried of it
TOOLS = {
    "mapie": mapie,
    "cleanlab": cleanlab,
    "imbalanced-learn": imbalanced_learn,
    "shap": shap,
    "captum": captum,
    "grad-cam": grad_cam,
    "mlxtend": mlxtend,
    "skore": skore,
    "skrub": skrub,
    "scikit-optimize": scikit_optimize,
    "sklearn-genetic-opt": sklearn_genetic_opt,
    "ray": ray,
    "datasets": hugging_face_datasets,
    "kornia": kornia,
    "timm": timm,
    "albumentations": albumentations,
    "mlflow": mlflow,
}


def result(package):
    """Return the version of a package that is installed, and what came of it."""
    try:
        installed = version(package)
    except PackageNotFoundError:
        return "", "not installed"
    with tempfile.TemporaryDirectory() as folder:
        try:
            TOOLS[package](Path(folder))
        except Exception:
            traceback.print_exc()
            return installed, "FAILED"
    return installed, "works"


def main(packages):
    """Print a row a package; return how many failed."""
    used = ["sklearn-cnn", "scikit-learn", "torch", "skorch", "numpy"]
    versions = ", ".join(f"{name} {version(name)}" for name in used)
    print(f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {versions}\n")
    print("| package | version | | seconds |\n|---|---|---|---|")
    outcomes = []
    for package in packages:
        start = time.perf_counter()
        installed, outcome = result(package)
        seconds = time.perf_counter() - start
        print(f"| {package} | {installed} | {outcome} | {seconds:.0f} |", flush=True)
        outcomes.append(outcome)
    return outcomes.count("FAILED")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or TOOLS))
