"""Augmentation in training and at prediction: targets, weights, refusals, search."""

import numpy as np
import pandas as pd
import pytest
import torch
from drawn import SIDE, bars_and_discs, placed_discs, several_shapes
from image_files import write_images
from listed import Listed
from PIL import Image
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import nn
from torchvision import transforms
from torchvision.transforms import v2

from sklearn_cnn import Augmentation, CNNClassifier, CNNRegressor, available_augmentations
from sklearn_cnn.architectures import ConvNet, Finetuned, UNet
from sklearn_cnn.augmentation import augmentation_step
from sklearn_cnn.losses import MixedTargets, WeightedLoss, resolve_loss
from sklearn_cnn.targets import Continuous, MultiLabel, SingleLabel
from sklearn_cnn.training.samples import Samples

SMALL = ConvNet((8, 16))
GEOMETRIC = [{"flip": True}, {"crop": 2}, {"rotation": 10}, {"scale": 0.1}]


def classifier(augmentation=None, **params):
    params = {"max_epochs": 2, "random_state": 0, **params}
    return CNNClassifier(SMALL, augmentation=augmentation, **params)


def regressor(augmentation=None, **params):
    params = {"max_epochs": 2, "random_state": 0, **params}
    return CNNRegressor(SMALL, augmentation=augmentation, **params)


def same_weights(model, other):
    ours, theirs = (m.module_.state_dict() for m in (model, other))
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())


def points(n):
    """Draw discs; y holds their centres, as x and y."""
    X, centres = placed_discs(n)
    return X, centres[:, ::-1]


# ------------------------------------------------------------------------- without an argument


def framed(X):
    """Return images of 16 x 16: the least that are shifted by default."""
    (height, width), n_more = X.shape[1:3], X.ndim - 3
    return np.pad(X, ((0, 0), (0, 16 - height), (0, 16 - width), *[(0, 0)] * n_more))


@pytest.mark.parametrize("several", [False, True])
def test_by_default_images_of_labels_are_shifted(several, tmp_path):
    X, y = several_shapes(40) if several else bars_and_discs(40)
    X = framed(X)
    params = {"max_epochs": 2, "random_state": 0}
    automatic = CNNClassifier(SMALL, **params).fit(X, y)
    assert automatic.augmentation == "auto"
    assert repr(automatic.augmentation_) == "Augmentation(crop=0.0625)"
    assert same_weights(automatic, classifier(Augmentation(crop=0.0625)).fit(X, y))
    assert not same_weights(automatic, classifier().fit(X, y))
    automatic.save(tmp_path / "model")
    assert repr(CNNClassifier.load(tmp_path / "model").augmentation_) == "Augmentation(crop=0.0625)"


@pytest.mark.parametrize("shape", [(15, 20), (1, 40)])
def test_by_default_small_images_and_strips_stay_as_they_are(shape):
    X = np.random.default_rng(0).integers(0, 256, (40, *shape), dtype=np.uint8)
    y = np.arange(40) % 2
    automatic = classifier("auto").fit(X, y)
    assert automatic.augmentation_ is None
    assert same_weights(automatic, classifier().fit(X, y))


def test_by_default_images_of_numbers_stay_as_they_are():
    X, y = points(40)
    X = framed(X)
    for targets in (y, y[:, 0]):
        automatic = CNNRegressor(SMALL, max_epochs=2, random_state=0).fit(X, targets)
        assert automatic.augmentation_ is None
        assert same_weights(automatic, regressor().fit(X, targets))


def test_by_default_images_of_masks_stay_as_they_are():
    X, _ = bars_and_discs(8)
    X = framed(X)
    automatic = CNNClassifier(UNet((4, 8)), max_epochs=1, random_state=0).fit(X, X > 128)
    assert automatic.augmentation_ is None


def test_by_default_images_for_learned_weights_stay_as_they_are():
    X, y = bars_and_discs(40)
    X = framed(X)
    source = FrozenEstimator(classifier().fit(X, y))
    tuned = CNNClassifier(Finetuned(source), max_epochs=1, random_state=0).fit(X, y)
    assert tuned.augmentation_ is None


def test_what_was_trained_with_stays_when_parameters_are_set():
    X, y = bars_and_discs(40)
    X = framed(X)
    plain = classifier(None, max_epochs=1).fit(X, y).set_params(augmentation="auto")
    assert plain.augmentation_ is None
    shifted = classifier("auto", max_epochs=1).fit(X, y).set_params(augmentation="no such name")
    with pytest.raises(ValueError, match="no such name"):
        shifted.fit(X, y)
    assert repr(shifted.augmentation_) == "Augmentation(crop=0.0625)"


def test_training_goes_on_with_images_as_they_were_after_load(tmp_path):
    X, y = bars_and_discs(40)
    X = framed(X)
    source = FrozenEstimator(classifier().fit(X, y))
    tuned = CNNClassifier(Finetuned(source), max_epochs=1, random_state=0).fit(X, y)
    tuned.save(tmp_path / "model")
    with pytest.warns(UserWarning, match="did not come back"):
        loaded = CNNClassifier.load(tmp_path / "model")
    assert loaded.augmentation_ is None
    assert same_weights(loaded.partial_fit(X, y), tuned.partial_fit(X, y))


def test_auto_has_no_parameters_to_set():
    with pytest.raises(ValueError, match=r"'auto' has no parameters.* Write augmentation=Augm"):
        CNNClassifier().set_params(augmentation__crop=2)


# -------------------------------------------------------------------------------- in training


@pytest.mark.parametrize("name", available_augmentations())
def test_a_name_is_its_object(name):
    X, y = bars_and_discs(40)
    by_name = classifier(name).fit(X, y)
    assert by_name.augmentation == name
    assert same_weights(by_name, classifier(available_augmentations()[name]).fit(X, y))
    assert not same_weights(by_name, classifier().fit(X, y))


def test_fit_leaves_the_object_alone():
    X, y = bars_and_discs(40)
    augmentation = Augmentation(crop=2, mixup=0.2)
    before = augmentation.get_params()
    model = classifier(augmentation).fit(X, y)
    assert model.augmentation is augmentation
    assert augmentation.get_params() == before


def test_the_random_state_fixes_what_is_drawn():
    X, y = bars_and_discs(40)
    augmentation = Augmentation(
        flip=True, crop=2, rotation=20, scale=0.1, brightness=0.1, contrast=0.1, erasing=0.5,
        mixup=0.2,
    )  # fmt: skip
    torch.manual_seed(1)
    model = classifier(augmentation).fit(X, y)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert same_weights(model, clone(model).fit(X, y))
    assert torch.equal(torch.get_rng_state(), before)
    assert not same_weights(model, classifier(augmentation, random_state=1).fit(X, y))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_prediction_and_validation_see_images_as_they_are(early_stopping):
    X, y = bars_and_discs(60)
    model = classifier(Augmentation(flip=True, crop=4, erasing=1.0), early_stopping=early_stopping)
    model.fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:])
    assert max(model.validation_scores_) >= model.score(X[40:], y[40:])
    assert model.score(X[40:], y[40:]) in model.validation_scores_
    np.testing.assert_array_equal(model.decision_function(X), model.decision_function(X))


def test_augmentation_helps_where_images_are_few():
    X, y = bars_and_discs(640, seed=1)
    plain = CNNClassifier(max_epochs=20, random_state=0).fit(X[:40], y[:40])
    helped = CNNClassifier(
        max_epochs=20, random_state=0, augmentation=Augmentation(flip=True, crop=3)
    ).fit(X[:40], y[:40])
    assert helped.score(X[40:], y[40:]) >= plain.score(X[40:], y[40:])
    assert helped.score(X[40:], y[40:]) > 0.95


def test_partial_fit_augments_too():
    X, y = bars_and_discs(40)
    plain = classifier().partial_fit(X, y, classes=["bar", "disc"])
    augmented = classifier("flip_crop").partial_fit(X, y, classes=["bar", "disc"])
    assert not same_weights(plain, augmented)


@pytest.mark.parametrize(
    "transform",
    [
        v2.RandomHorizontalFlip(),
        v2.Compose([v2.RandomCrop(SIDE, padding=2), v2.RandomErasing(1.0)]),
        lambda images: images.flip(3),
    ],
    ids=["flip", "compose", "lambda"],
)
def test_any_function_of_a_batch_will_do(transform):
    X, y = bars_and_discs(40)
    model = classifier(transform).fit(X, y)
    assert same_weights(model, classifier(transform).fit(X, y))
    # what a function does to targets is its user's affair
    regressor(transform).fit(X, np.zeros((40, 2)))


@pytest.mark.parametrize(
    ("largest", "dtype"), [(1, bool), (1, np.uint8), (3, np.uint8), (31, np.uint8)]
)
@pytest.mark.parametrize(
    "change",
    [{"rotation": 20, "scale": 0.2}, {"brightness": 0.3, "contrast": 0.3}, {"mixup": 0.4}],
    ids=str,
)
def test_few_values_are_changed_as_the_same_numbers_in_floats(change, largest, dtype):
    X, y = bars_and_discs(40)
    X = X // (256 // (largest + 1))
    assert X.max() == largest
    X = X.astype(dtype)
    model = classifier(Augmentation(**change))
    assert same_weights(clone(model).fit(X, y), clone(model).fit(X.astype(np.float32), y))
    assert not same_weights(clone(model).fit(X, y), classifier().fit(X, y))


@pytest.mark.parametrize("in_memory", [True, False])
def test_one_large_value_anywhere_says_that_bytes_are_rounded(in_memory, tmp_path):
    X, y = bars_and_discs(100)
    masks = (X > 128).astype(np.uint8)
    masks[-1, 0, 0, 0] = 32
    model = classifier(Augmentation(brightness=0.3), in_memory=in_memory)
    # half a unit is more than brightness adds to masks, so that all but the last stay as they are
    paths = write_images(tmp_path, masks)
    assert same_weights(model.fit(paths, y), clone(model).fit(masks, y))
    assert not same_weights(model, clone(model).fit(masks.astype(np.float32), y))
    # an image that does not count says nothing
    counts = np.arange(100) < 99
    model.fit(paths, y, counts)
    assert same_weights(model, clone(model).fit(masks.astype(np.float32), y, counts))


# ------------------------------------------------------------------------- targets that move


def record_batches(model, X, y):
    """Fit a model on spied batches; return images and targets, in pixels, of all epochs."""
    seen = []

    class Spy(nn.MSELoss):
        def forward(self, outputs, target):
            seen.append(target.detach())
            return super().forward(outputs, target)

    class Watch(nn.Module):
        def __init__(self, in_channels, n_outputs):
            super().__init__()
            self.linear = nn.Linear(in_channels, n_outputs)

        def forward(self, images):
            if self.training:
                pictures.append(images.detach())
            return self.linear(images.float().mean(dim=(2, 3)))

    pictures = []
    model.set_params(architecture=Watch, loss=Spy(), precision="float32").fit(X, y)
    standardize = model.module_.standardize
    images = torch.cat(pictures) * standardize.std + standardize.mean
    targets = torch.cat(seen).double().numpy() * y.std(axis=0) + y.mean(axis=0)
    return images.permute(0, 2, 3, 1).numpy(), targets


@pytest.mark.parametrize("params", [*GEOMETRIC, {"flip": True, "crop": 2, "rotation": 15}], ids=str)
def test_the_network_is_taught_where_the_points_went(params):
    rng = np.random.default_rng(0)
    y = rng.uniform(8, 15, (60, 2))
    rows, columns = np.mgrid[:24, :24]
    squares = (columns - y[:, 0, None, None]) ** 2 + (rows - y[:, 1, None, None]) ** 2
    X = np.exp(-squares / 3).astype(np.float32)
    augmentation = Augmentation(**params, fill="zeros", keypoints=True)
    images, targets = record_batches(regressor(augmentation), X, y)
    mass = images[..., 0].sum(axis=(1, 2))
    x = (images[..., 0] * columns).sum(axis=(1, 2)) / mass
    down = (images[..., 0] * rows).sum(axis=(1, 2)) / mass
    assert len(targets) == 120
    np.testing.assert_allclose(np.stack([x, down], axis=1), targets, atol=0.1)
    # they did move
    assert not np.isclose(np.sort(targets, axis=0), np.sort(np.tile(y, (2, 1)), axis=0)).all()


def test_key_points_are_learned_from_flipped_images():
    X, y = points(300)
    augmentation = Augmentation(flip=True, crop=1, keypoints=True)
    model = CNNRegressor(augmentation=augmentation, random_state=0).fit(X[:200], y[:200])
    assert model.score(X[200:], y[200:]) > 0.8


@pytest.mark.parametrize("params", GEOMETRIC, ids=str)
def test_several_outputs_need_a_word_on_coordinates(params):
    X, y = points(20)
    with pytest.raises(ValueError, match=r"keypoints=True.*keypoints=False"):
        regressor(Augmentation(**params)).fit(X, y)
    regressor(Augmentation(**params)).fit(X, y[:, 0])
    regressor(Augmentation(**params)).fit(X, y[:, :1])
    regressor(Augmentation(**params, keypoints=False)).fit(X, y)
    regressor(Augmentation(**params, keypoints=True)).fit(X, y)


def test_colour_and_erasing_move_nothing():
    X, y = points(20)
    regressor(Augmentation(brightness=0.2, contrast=0.2, erasing=0.5)).fit(X, y)


@pytest.mark.parametrize(
    ("augmentation", "n_columns", "message"),
    [
        (Augmentation(keypoints=True), 3, "multiple of 2"),
        (Augmentation(keypoints="boxes"), 2, "multiple of 4"),
        (Augmentation(flip=True, keypoints=True), 4, "flip_index"),
        (Augmentation(mixup=0.2), 2, "mixup=0"),
        (Augmentation(mixup=0.2), 1, "mixup=0"),
        (Augmentation(crop=-1), 1, "crop"),
        (Augmentation, 1, r"the class Augmentation. Pass an object: Augmentation\(\.\.\.\)"),
        (v2.RandomErasing, 1, r"the class RandomErasing. Pass an object: RandomErasing\("),
        ("photo", 1, r"named 'photo'\. Did you mean 'photos'\? The names are \['flip_crop', "),
    ],
)
def test_an_unfit_augmentation_is_refused_before_training(augmentation, n_columns, message):
    X = np.zeros((20, 8, 8), np.uint8)
    model = regressor(augmentation)
    with pytest.raises(ValueError, match=message):
        model.fit(X, np.random.default_rng(0).random((20, n_columns)))
    assert not hasattr(model, "net_")


def halved(images):
    return images[..., ::2]


@pytest.mark.parametrize(
    ("augmentation", "found"),
    [
        (v2.Normalize([0.5], [0.5]), "TypeError: Input tensor should be a float tensor"),
        (transforms.ToTensor(), "TypeError"),
        (v2.CutMix(num_classes=2), "ValueError"),
        (lambda images: images.numpy()[:, ::-1], "it returned ndarray, no tensor"),
        (lambda image: image.rotate(90), "AttributeError: .*rotate"),
        (v2.ToDtype(torch.float32), r"it returned images of shape \(16, 3, .*, torch.float32"),
        (halved, rf"it returned images of shape \(16, 3, {SIDE}, {SIDE // 2}\)"),
    ],
    ids=["Normalize", "ToTensor", "CutMix", "NumPy", "of one image", "dtype", "size"],
)
def test_a_function_that_fails_is_named_with_its_batch(augmentation, found):
    X, y = bars_and_discs(40)
    model = classifier(augmentation, batch_size=16)
    where = rf"failed on a batch of shape \(16, 3, {SIDE}, {SIDE}\), torch.uint8: .*({found})"
    with pytest.raises(ValueError, match=rf"(?s)^augmentation=.*{where}.*same shape and dtype"):
        model.fit(X, y)
    assert not hasattr(model, "net_")


def test_coordinates_are_no_labels():
    X, y = bars_and_discs(20)
    with pytest.raises(ValueError, match="CNNRegressor"):
        classifier(Augmentation(crop=1, keypoints=True)).fit(X, y)


def pictures(images):
    return [Image.fromarray(image) for image in images]


CONTAINERS = {
    "list of arrays": lambda images, _: list(images),
    "nested lists": lambda images, _: [image.tolist() for image in images],
    "series of arrays": lambda images, _: pd.Series(list(images)),
    "Dataset of arrays": lambda images, _: Listed(images),
    "PIL images": lambda images, _: pictures(images),
    "Dataset of PIL images": lambda images, _: Listed(pictures(images)),
    "files": lambda images, folder: write_images(folder, images),
    "frame of files": lambda images, folder: pd.DataFrame({"path": write_images(folder, images)}),
    "Dataset of files": lambda images, folder: Listed(write_images(folder, images)),
}
ENCODED = [name for name in CONTAINERS if "PIL" in name or "file" in name]


@pytest.mark.parametrize("container", CONTAINERS)
def test_coordinates_on_images_that_image_shape_leaves_alone(container, tmp_path):
    X, y = points(20)
    model = regressor(Augmentation(crop=1, keypoints=True), image_shape=(SIDE, SIDE)).fit(X, y)
    contained = CONTAINERS[container](X, tmp_path)
    other = clone(model).fit(contained, y, X_val=contained, y_val=y)
    if container == "nested lists":
        # numbers without a dtype become float32
        np.testing.assert_allclose(other.predict(X), model.predict(X), rtol=1e-3)
    else:
        assert same_weights(model, other)
        np.testing.assert_array_equal(other.predict(contained), model.predict(X))


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("container", [name for name in CONTAINERS if name != "nested lists"])
def test_coordinates_on_one_resized_image_are_refused(container, in_memory, tmp_path):
    X, y = points(20)
    smaller = [*X[:-1], X[-1, :-1, :-1].copy()]
    model = regressor(
        Augmentation(keypoints=True), image_shape=(SIDE, SIDE, 3), in_memory=in_memory
    )
    resized = CONTAINERS[container](smaller, tmp_path)
    with pytest.raises(ValueError, match=rf"resizes X.* from {SIDE - 1} x .*keypoints=True"):
        model.fit(resized, y)
    assert not hasattr(model, "image_shape_")
    if container in ENCODED:
        with pytest.raises(ValueError, match=r"resizes X\[19\]"):
            model.fit(resized, y)
    model.set_params(augmentation__keypoints=False).fit(resized, y)


def test_coordinates_are_resized_in_none_of_the_places_that_take_images():
    X, y = points(20)
    larger = np.pad(X, [(0, 0), (2, 2), (2, 2), (0, 0)])
    model = regressor(Augmentation(crop=1, keypoints=True), image_shape=(SIDE, SIDE))
    for other, name in ((larger, "X"), (list(larger), "X"), (larger.tolist(), "X")):
        refused = pytest.raises(
            ValueError, match=rf"image_shape=\({SIDE}, {SIDE}\) resizes {name} .*keypoints=True"
        )
        with refused:
            model.fit(other, y)
        with refused:
            model.partial_fit(other, y)
        with pytest.raises(ValueError, match=r"resizes X_val .*keypoints=True"):
            model.fit(X, y, X_val=other, y_val=y)
        model.fit(X, y)
        for method in (model.predict, model.transform):
            with refused:
                method(other)
        with refused:
            model.score(other, y)
    model.fit(X.reshape(20, -1), y)
    # what keypoints says, and not which parameters moved, decides
    model.set_params(augmentation__keypoints=False).fit(larger, y, X_val=larger, y_val=y)
    model.predict(larger)


def test_the_cache_knows_no_resized_image_that_has_coordinates(tmp_path):
    X, y = points(20)
    paths = write_images(tmp_path / "files", [*X[:-1], X[-1, :-1, :-1].copy()])
    model = regressor(
        Augmentation(keypoints=False), image_shape=(SIDE, SIDE), memory=str(tmp_path / "cache")
    ).fit(paths, y)
    model.set_params(augmentation__keypoints=True)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"resizes X\[19\], '.*png' from .*keypoints=True"):
            model.fit(paths, y)
    model.fit(paths[:-1], y[:-1])
    assert same_weights(model, clone(model).set_params(memory=None).fit(X[:-1], y[:-1]))
    model.predict(paths[:-1])


def test_broken_files_among_those_with_coordinates_are_left_out(tmp_path):
    X, y = points(20)
    paths = write_images(tmp_path, X)
    (tmp_path / "0003.png").write_bytes(b"")
    model = regressor(Augmentation(keypoints=True), image_shape=(SIDE, SIDE), handle_broken="skip")
    with pytest.warns(UserWarning, match="1 of 20 files"):
        model.fit(paths, y)
    assert same_weights(model, clone(model).fit(X, y, np.arange(20) != 3))


def test_another_size_without_image_shape_is_not_to_be_resized_either():
    X, y = points(20)
    model = regressor(Augmentation(keypoints=True)).fit(X, y)
    with pytest.raises(ValueError, match=r"was fitted on .*keypoints=True") as refused:
        model.predict(X[:, :-1])
    assert "image_shape=" not in str(refused.value)


# -------------------------------------------------------------------------------------- mixup


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_mixup_is_the_mean_of_both_weighted_losses(multilabel, weighted):
    torch.manual_seed(0)
    images, logits = torch.rand(16, 3, 4, 4), torch.randn(16, 3)
    weights = torch.rand(16) if weighted else None
    if multilabel:
        kind, targets = MultiLabel(3), torch.randint(0, 2, (16, 3)).float()
        single = nn.BCEWithLogitsLoss(reduction="none")
    else:
        kind, targets = SingleLabel(np.arange(3)), torch.randint(0, 3, (16,))
        single = nn.CrossEntropyLoss(reduction="none")
    loss = resolve_loss("log_loss", kind)
    samples = Samples.weighted(images.permute(0, 2, 3, 1), targets, None)
    step = augmentation_step(Augmentation(mixup=1.0), kind, loss, samples)
    mixed, both, none = step(images, targets, weights, torch.Generator().manual_seed(0))
    assert none is None
    # which partner, and how much of it, is read off the pixels
    share = (both.first_weight / (1 if weights is None else weights)).double()
    partner = torch.tensor(
        [
            min(
                range(16),
                key=lambda j: (
                    (share[i] * images[i] + (1 - share[i]) * images[j] - mixed[i]).abs().max()
                ),
            )
            for i in range(16)
        ]
    )
    rows = single(logits, targets), single(logits, targets[partner])
    rows = [row.reshape(16, -1).mean(dim=1).double() for row in rows]
    own = torch.ones(16) if weights is None else weights
    expected = (share * own * rows[0] + (1 - share) * own[partner] * rows[1]).mean()
    torch.testing.assert_close(loss(logits, both).double(), expected)


def test_mixed_cross_entropy_is_that_of_soft_labels():
    torch.manual_seed(0)
    logits, first, second = torch.randn(8, 4), torch.randint(4, (8,)), torch.randint(4, (8,))
    share = torch.rand(8)
    soft = share[:, None] * torch.eye(4)[first] + (1 - share)[:, None] * torch.eye(4)[second]
    mixed = MixedTargets(first, share, second, 1 - share)
    torch.testing.assert_close(
        WeightedLoss(nn.CrossEntropyLoss())(logits, mixed),
        nn.functional.cross_entropy(logits, soft),
    )


@pytest.mark.parametrize("loss", ["log_loss", "hinge", nn.CrossEntropyLoss(label_smoothing=0.1)])
def test_mixup_with_every_loss_and_class_weights(loss):
    X, y = bars_and_discs(40)
    weight = np.random.default_rng(0).random(40)
    model = classifier(Augmentation(mixup=0.3), loss=loss, class_weight="balanced", max_epochs=8)
    model.fit(X, y, weight, X_val=X, y_val=y)
    plain = classifier(loss=loss, class_weight="balanced", max_epochs=8).fit(X, y, weight)
    # the recorded loss is that of mixed images
    assert model.loss_curve_[-1] > plain.loss_curve_[-1]


def test_mixup_of_several_labels():
    X, y = several_shapes(40)
    classifier(Augmentation(mixup=0.3), class_weight={0: 2.0}).fit(X, y)


def test_mixup_needs_a_loss_of_each_sample():
    class Mean(nn.Module):
        def forward(self, logits, target):
            return nn.functional.cross_entropy(logits, target)

    X, y = bars_and_discs(20)
    with pytest.raises(ValueError, match="reduction"):
        classifier(Augmentation(mixup=0.2), loss=Mean()).fit(X, y)


# ------------------------------------------------------------------------ parameters in a grid


def test_setting_a_parameter_replaces_a_name_by_its_object():
    model = classifier("photos").set_params(augmentation__crop=2)
    assert model.augmentation.get_params() == {
        **available_augmentations()["photos"].get_params(),
        "crop": 2,
    }
    assert available_augmentations()["photos"].crop != 2
    model = classifier().set_params(augmentation="symbols", augmentation__rotation=5)
    assert model.augmentation.rotation == 5
    both = classifier("photos", random_state=1).set_params(
        augmentation__crop=1, architecture="convnet", architecture__widths=(8,)
    )
    assert (both.augmentation.crop, both.architecture.widths) == (1, (8,))


def test_parameters_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"Invalid parameter 'shear'.*Augmentation"):
        classifier("photos").set_params(augmentation__shear=1)
    with pytest.raises(ValueError, match="The names are"):
        classifier("photo").set_params(augmentation__crop=1)
    for nothing in (None, v2.RandomHorizontalFlip()):
        with pytest.raises(ValueError, match=r"Write augmentation=Augmentation\(\)"):
            classifier(nothing).set_params(augmentation__crop=1)


# their get_params is a static method that draws
TRANSFORMS_WITH_STATIC_GET_PARAMS = [
    v2.RandomErasing(),
    v2.RandomCrop(SIDE, padding=2),
    v2.ColorJitter(0.2),
    transforms.RandomErasing(),
]


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("transform", TRANSFORMS_WITH_STATIC_GET_PARAMS, ids=lambda t: repr(t)[:20])
def test_an_estimator_with_a_transform_of_torchvision_is_cloned_and_shown(make, transform):
    model = make(transform, lr=0.25)
    cloned = clone(make_pipeline(model))[-1]
    assert repr(cloned) == repr(model)
    assert type(cloned.augmentation) is type(transform)
    assert cloned.augmentation is not transform
    assert cloned.architecture is not model.architecture
    parameters = model.get_params()
    assert parameters["augmentation"] is transform
    assert parameters["architecture__widths"] == (8, 16)
    assert not any(name.startswith("augmentation__") for name in parameters)
    assert "RandomErasing" in make(v2.RandomErasing())._repr_html_()


def test_clones_keep_what_scikit_learns_clone_keeps():
    with config_context(enable_metadata_routing=True):
        model = classifier(v2.RandomErasing()).set_fit_request(sample_weight=True)
        cloned = clone(model.set_output(transform="pandas"))
        assert cloned.get_metadata_routing().fit.requests["sample_weight"] is True
        assert cloned._sklearn_output_config == {"transform": "pandas"}


def test_a_search_runs_with_a_transform_of_torchvision():
    X, y = bars_and_discs(20)
    model = classifier(v2.RandomErasing(), max_epochs=1)
    grid = {"augmentation": [None, v2.Compose([v2.RandomErasing(1.0)])]}
    for given in ({"lr": [0.01, 0.001]}, grid):
        search = GridSearchCV(model, given, cv=2, error_score="raise").fit(X, y)
        assert len(search.cv_results_["params"]) == 2


def test_a_class_as_a_parameter_has_no_parameters_yet():
    assert "architecture" in CNNClassifier(ConvNet).get_params()
    assert "augmentation" in classifier(v2.RandomErasing).get_params()


def test_a_grid_searches_over_augmentations():
    X, y = bars_and_discs(40)
    search = GridSearchCV(
        make_pipeline(classifier("flip_crop", max_epochs=1)),
        [
            {"cnnclassifier__augmentation__crop": [0, 2]},
            {"cnnclassifier__augmentation": [None, "photos"]},
        ],
        cv=2,
        error_score="raise",
    ).fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    with pytest.raises(ValueError, match="shear"):
        GridSearchCV(classifier("photos"), {"augmentation__shear": [1]}, cv=2).fit(X, y)


# ------------------------------------------------------------------------ test-time augmentation


def test_logits_are_averaged_over_mirror_images():
    X, y = bars_and_discs(50)
    model = classifier().fit(X, y)
    plain, mirrored = model.decision_function(X), model.decision_function(X[:, :, ::-1])
    model.set_params(test_time_augmentation=True)
    averaged = model.decision_function(X)
    np.testing.assert_allclose(averaged, (plain + mirrored) / 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(averaged, model.decision_function(X[:, :, ::-1]))
    probability = 1 / (1 + np.exp(-averaged))
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], probability, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(X), model.classes_[(averaged > 0).astype(int)])


def test_training_is_the_same_with_it():
    X, y = bars_and_discs(50)
    plain, averaged = (
        classifier(test_time_augmentation=on).fit(X, y, X_val=X, y_val=y) for on in (False, True)
    )
    assert same_weights(plain, averaged)
    assert plain.validation_scores_ == averaged.validation_scores_
    np.testing.assert_array_equal(plain.transform(X), averaged.transform(X))


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_averages_do_not_depend_on_batches(precision):
    X, y = bars_and_discs(200)
    model = classifier(test_time_augmentation=True, precision=precision).fit(X, y)
    whole = model.decision_function(X)
    for size in (1, 7, 150):
        parts = [model.decision_function(X[i : i + size]) for i in range(0, 200, size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_coordinates_are_mirrored_back():
    X, y = points(50)
    y = np.column_stack([y, SIDE - 1 - y[:, :1], y[:, 1:]])  # a point and its mirror image
    augmentation = Augmentation(keypoints=True, flip_index=[1, 0])
    model = regressor(augmentation).fit(X, y)
    plain, mirrored = model.predict(X), model.predict(X[:, :, ::-1])
    back = mirrored[:, [2, 3, 0, 1]]
    back[:, [0, 2]] = SIDE - 1 - back[:, [0, 2]]
    averaged = model.set_params(test_time_augmentation=True).predict(X)
    np.testing.assert_allclose(averaged, (plain + back) / 2, rtol=1e-4)


def test_boxes_and_other_numbers_are_averaged_too():
    X, y = points(50)
    boxes = np.column_stack([y - 2, y + 2])
    model = regressor(Augmentation(keypoints="boxes")).fit(X, boxes)
    plain, mirrored = model.predict(X), model.predict(X[:, :, ::-1])
    back = mirrored.copy()
    back[:, [0, 2]] = SIDE - 1 - mirrored[:, [2, 0]]
    averaged = model.set_params(test_time_augmentation=True).predict(X)
    np.testing.assert_allclose(averaged, (plain + back) / 2, rtol=1e-4)
    model.set_params(augmentation=Augmentation(keypoints=False))
    np.testing.assert_allclose(model.predict(X), (plain + mirrored) / 2, rtol=1e-4)


@pytest.mark.parametrize(
    ("augmentation", "message"),
    [
        (None, "keypoints=True"),
        (Augmentation(brightness=0.1), "keypoints=True"),
        (v2.RandomHorizontalFlip(), "keypoints=True"),
        (Augmentation(keypoints=True), "flip_index"),
    ],
    ids=["none", "silent", "function", "no flip_index"],
)
def test_outputs_that_may_be_coordinates_are_not_averaged(augmentation, message):
    X, y = points(20)
    y = np.column_stack([y, y])
    model = regressor(augmentation, test_time_augmentation=True)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    model.set_params(test_time_augmentation=False).fit(X, y)
    with pytest.raises(ValueError, match=message):
        model.set_params(test_time_augmentation=True).predict(X)
    model.set_params(augmentation=None).fit(X, y[:, 0]).predict(X)


# -------------------------------------------------------------------------------- encoded units


def test_units_and_encoding_are_inverse():
    y = np.random.default_rng(0).normal([3, 100, 5], [1, 20, 0], (50, 3))
    target = Continuous(y)
    encoded = target.encode(y)
    units = target.to_units(encoded)
    np.testing.assert_allclose(units, y, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(target.from_units(units), encoded, atol=1e-5, rtol=1e-5)
