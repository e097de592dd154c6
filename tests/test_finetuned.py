"""New heads on networks that have learned: from frozen estimators and from files."""

import numpy as np
import pytest
import torch
from drawn import bars_and_discs, coloured_shapes, placed_discs
from drawn_pixels import shapes
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from skorch.callbacks import LRScheduler
from torch import nn
from torch.optim.lr_scheduler import LinearLR

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet, Finetuned, ResNet, UNet, _finetuned

X, Y = bars_and_discs(60)
NEW_X, NEW_Y = coloured_shapes(60, seed=1)


@pytest.fixture(scope="module")
def source():
    return CNNClassifier(ConvNet((4, 8)), max_epochs=3, random_state=0).fit(X, Y)


@pytest.fixture(scope="module", params=["frozen", "file"])
def given(request, source, tmp_path_factory):
    """Give the source in both forms that Finetuned takes."""
    if request.param == "frozen":
        return FrozenEstimator(source)
    path = tmp_path_factory.mktemp("states") / "source.pt"
    source.save(path)
    return path


def tuned(given, fit_epochs=3, lr=0.005, **params):
    model = CNNClassifier(Finetuned(given, **params), max_epochs=fit_epochs, lr=lr, random_state=0)
    return model.fit(NEW_X, NEW_Y)


def trunk(model):
    """Return weights and statistics of all but the last layer."""
    state = model.module_.network.state_dict()
    head = max(int(name.split(".")[0]) for name in state)
    return {n: t.clone() for n, t in state.items() if not n.startswith(f"{head}.")}


def equal(one, other):
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])] == []


def test_training_starts_from_the_weights_of_the_source(source, given):
    model = tuned(given, fit_epochs=1, lr=1e-12)
    weights = {name for name, _ in source.module_.network.named_parameters()}
    before, after = trunk(source), trunk(model)
    for name in weights & before.keys():
        torch.testing.assert_close(after[name], before[name])
    assert model.n_outputs_ == 3


def test_a_frozen_trunk_is_that_of_the_source_bit_for_bit(source, given):
    model = tuned(given, freeze=True)
    assert equal(trunk(model), trunk(source))
    assert [len(g["params"]) for g in model.net_.optimizer_.param_groups] == [1, 1]
    features = source.transform(NEW_X)
    np.testing.assert_array_equal(model.transform(NEW_X), features)


def test_the_source_is_never_trained(source):
    before = {name: tensor.clone() for name, tensor in source.module_.state_dict().items()}
    tuned(FrozenEstimator(source))
    assert equal(source.module_.state_dict(), before)
    assert all(p.requires_grad for p in source.module_.parameters())


def test_the_pixels_are_standardized_as_those_of_the_source(source, given):
    model = tuned(given)
    ours, theirs = model.module_.standardize, source.module_.standardize
    assert torch.equal(ours.mean, theirs.mean)
    assert torch.equal(ours.std, theirs.std)


def test_the_trunk_learns_at_a_share_of_the_rate(given):
    groups = tuned(given, head_lr_ratio=4.0).net_.optimizer_.param_groups
    assert [group["lr_ratio"] for group in groups] == [1.0, 1.0, 0.25, 0.25]
    assert groups[2]["lr"] == groups[0]["lr"] * 0.25
    assert tuned(given, head_lr_ratio=1.0).net_.optimizer_.param_groups[0]["lr_ratio"] == 1.0


def test_a_slower_trunk_moves_less(source):
    def moved(ratio):
        model = tuned(FrozenEstimator(source), head_lr_ratio=ratio)
        before, after = trunk(source), trunk(model)
        return sum((after[n] - before[n]).abs().sum() for n in before if n.endswith("weight"))

    assert moved(100.0) < moved(10.0) < moved(1.0)


@pytest.mark.parametrize("ratio", [1.0, 10.0])
def test_frozen_parts_learn_after_some_epochs(source, ratio):
    states = []
    params = {"freeze": True, "unfreeze_after": 2, "head_lr_ratio": ratio}
    for epochs in 2, 3:
        model = CNNClassifier(
            Finetuned(FrozenEstimator(source), **params),
            max_epochs=epochs,
            lr_schedule="constant",
            random_state=0,
        ).fit(NEW_X, NEW_Y)
        states.append(trunk(model))
    assert equal(states[0], trunk(source))
    assert not equal(states[1], trunk(source))
    groups = model.net_.optimizer_.param_groups
    optimized = [p for group in groups for p in group["params"]]
    assert set(optimized) == set(model.module_.parameters())
    assert len(optimized) == len(set(optimized))
    assert {group["lr_ratio"] for group in groups} == {1.0, 1 / ratio}


@pytest.mark.parametrize(
    ("policy", "kwargs", "last"),
    [
        (LinearLR, {"start_factor": 0.25, "total_iters": 3}, 1.0),
        ("LambdaLR", {"lr_lambda": lambda epoch: 0.5**epoch}, 0.125),
    ],
)
def test_a_scheduler_moves_the_rate_of_parts_that_were_frozen(source, policy, kwargs, last):
    model = CNNClassifier(
        Finetuned(FrozenEstimator(source), freeze=True, unfreeze_after=2),
        callbacks=[LRScheduler(policy, **kwargs)],
        lr=0.01,
        lr_schedule="constant",
        max_epochs=3,
        random_state=0,
    ).fit(NEW_X, NEW_Y)
    rates = {group["lr"] for group in model.net_.optimizer_.param_groups}
    assert sorted(rates) == pytest.approx([0.001 * last, 0.01 * last])


def test_partial_fits_count_as_epochs(source):
    params = {"freeze": True, "unfreeze_after": 1}
    model = CNNClassifier(Finetuned(FrozenEstimator(source), **params), random_state=0)
    model.partial_fit(NEW_X, NEW_Y, classes=["blue", "green", "red"])
    assert equal(trunk(model), trunk(source))
    model.partial_fit(NEW_X, NEW_Y)
    assert not equal(trunk(model), trunk(source))


@pytest.mark.parametrize("params", [{}, {"freeze": True, "unfreeze_after": 1}])
def test_the_same_random_state_gives_the_same_weights(given, params):
    one, other = tuned(given, **params), tuned(given, **params)
    assert equal(one.module_.state_dict(), other.module_.state_dict())


def test_both_forms_of_the_source_give_the_same(source, tmp_path):
    source.save(tmp_path / "source.pt")
    one, other = tuned(FrozenEstimator(source)), tuned(str(tmp_path / "source.pt"))
    assert equal(one.module_.state_dict(), other.module_.state_dict())


def test_a_clone_starts_from_the_same_weights(source):
    model = CNNClassifier(Finetuned(FrozenEstimator(source), freeze=True), max_epochs=1)
    assert equal(trunk(clone(clone(model)).fit(NEW_X, NEW_Y)), trunk(source))


def test_a_search_over_freezing_starts_from_the_weights(source, given):
    pipeline = Pipeline([("cnn", CNNClassifier(Finetuned(given), max_epochs=1, random_state=0))])
    search = GridSearchCV(
        pipeline,
        {"cnn__architecture__freeze": [True], "cnn__architecture__head_lr_ratio": [1.0, 10.0]},
        cv=2,
        error_score="raise",
    ).fit(NEW_X, NEW_Y)
    assert equal(trunk(search.best_estimator_["cnn"]), trunk(source))


def test_from_labels_to_numbers(source):
    images, places = placed_discs(60)
    model = CNNRegressor(Finetuned(FrozenEstimator(source)), max_epochs=2, random_state=0)
    assert model.fit(images, places).predict(images).shape == places.shape


@pytest.mark.parametrize("size", [(16, 20), (128, 20)])
def test_a_network_of_masks_is_tuned_on_other_masks(source, size, tmp_path):
    images, masks = shapes(8)
    segmented = CNNClassifier(UNet((4, 8)), max_epochs=1, random_state=0).fit(images, masks > 0)
    others, other_masks = shapes(8, size=size, seed=1)
    model = CNNClassifier(
        Finetuned(FrozenEstimator(segmented), freeze=True), max_epochs=1, random_state=0
    )
    model.fit(others, other_masks)
    assert model.predict_proba(others).shape == (8, *size, 3)
    before, after = (m.module_.network.state_dict() for m in (segmented, model))
    assert all(after[name].equal(before[name]) for name in before if not name.startswith("head."))
    model.save(tmp_path / "model")
    with pytest.warns(UserWarning, match="did not come back: architecture=Finetuned"):
        loaded = CNNClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(others), model.predict_proba(others))
    with pytest.raises(ValueError, match=r"(?s)value for each image, and Finetuned.* returns maps"):
        model.fit(others, np.arange(8) % 2)
    with pytest.raises(ValueError, match=r"(?s)value for each pixel, and Finetuned.* one vector"):
        CNNClassifier(Finetuned(FrozenEstimator(source))).fit(others, other_masks)


def test_fine_tuning_of_a_fine_tuned_one(source):
    second = tuned(FrozenEstimator(tuned(FrozenEstimator(source))), freeze=True)
    assert second.n_outputs_ == 3


@pytest.mark.parametrize("fitted", [False, True])
def test_a_bare_estimator_is_refused_and_frozen_estimator_named(source, fitted):
    bare = source if fitted else clone(source)
    with pytest.raises(TypeError, match=r"bare CNNClassifier.*Finetuned\(FrozenEstimator"):
        tuned(bare)
    with pytest.raises(TypeError, match=r"bare CNNClassifier.*Finetuned\(FrozenEstimator"):
        clone(CNNClassifier(Finetuned(bare))).fit(NEW_X, NEW_Y)


def test_a_source_that_is_not_fitted():
    with pytest.raises(NotFittedError, match="CNNClassifier"):
        tuned(FrozenEstimator(CNNClassifier()))


@pytest.mark.parametrize("given", [FrozenEstimator(SVC()), SVC(), 3, None])
def test_anything_else_is_refused(given):
    with pytest.raises(TypeError, match="must be a fitted CNNClassifier or CNNRegressor"):
        tuned(given)


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="nowhere"):
        tuned("nowhere.pt")


class Net(nn.Sequential):
    def __init__(self, in_channels, num_classes):
        super().__init__(nn.Conv2d(in_channels, 2, 3), nn.Flatten(), nn.LazyLinear(num_classes))


def test_a_file_of_a_network_of_ones_own_says_how_to_load_it(tmp_path):
    path = tmp_path / "own.pt"
    source = CNNClassifier(Net, max_epochs=1, random_state=0).fit(X, Y)
    source.save(path)
    written = r"Finetuned\(FrozenEstimator\(CNNClassifier\.load\(path, architecture=\.\.\.\)\)\)"
    with pytest.raises(
        ValueError, match=rf"own\.pt' cannot be loaded: it was saved with .*{written}"
    ):
        tuned(path)
    loaded = CNNClassifier.load(path, architecture=Net)
    assert equal(trunk(tuned(FrozenEstimator(loaded), freeze=True)), trunk(source))


def test_images_of_other_channels_are_refused(source):
    model = CNNClassifier(Finetuned(FrozenEstimator(source)))
    with pytest.raises(ValueError, match="of 3 channels, but X has images of 1"):
        model.fit(NEW_X[..., :1], NEW_Y)


def test_pixels_in_another_unit_are_refused(source):
    with pytest.raises(ValueError, match="same unit, 0 to 255 or 0 to 1"):
        CNNClassifier(Finetuned(FrozenEstimator(source))).fit(NEW_X / 255, NEW_Y)


def test_pixels_on_another_scale_warn_as_in_prediction(given, source, recwarn):
    brighter = NEW_X * 2.5
    CNNClassifier(Finetuned(given), max_epochs=1).fit(brighter, NEW_Y)
    source.predict(brighter)
    assert [str(warned.message) for warned in recwarn] == [
        f"X has pixels from 0 to 622.5, but {owner} was fitted on pixels from 0 to 254, and "
        "neither is scaled to the other. Bring both to one unit: the network does not know images "
        "of another."
        for owner in ("the source of Finetuned", "CNNClassifier")
    ]


def test_pixels_of_0_to_1_warn_where_the_source_saw_0_to_16(recwarn):
    dark = CNNClassifier(ConvNet((4, 8)), max_epochs=1).fit(X / 16, Y)
    model = CNNClassifier(Finetuned(FrozenEstimator(dark)), max_epochs=1)
    model.fit(X / 16, Y)
    assert not recwarn
    with pytest.warns(UserWarning, match="^X has pixels from 0 to 1, but the source of Finetuned"):
        model.fit(X / X.max(), Y)


def test_a_network_that_takes_any_size_may_be_tuned_on_another(source):
    resnet = CNNClassifier(ResNet((4, 8)), max_epochs=1, random_state=0).fit(X, Y)
    larger = NEW_X.repeat(2, axis=1).repeat(2, axis=2)
    model = CNNClassifier(Finetuned(FrozenEstimator(resnet)), max_epochs=1).fit(larger, NEW_Y)
    assert model.image_shape_ == (24, 24, 3)
    with pytest.raises(ValueError, match="cannot take images of 24 x 8 x 3"):
        CNNClassifier(Finetuned(FrozenEstimator(source))).fit(larger[:, :, :8], NEW_Y)


def test_a_network_without_linear_cannot_be_tuned():
    net = nn.Sequential(nn.Conv2d(3, 2, 12), nn.Flatten())
    source = CNNClassifier(net, max_epochs=1).fit(X, Y)
    with pytest.raises(ValueError, match=r"has\s+none"):
        tuned(FrozenEstimator(source))


def test_unfreezing_of_what_is_not_frozen_is_refused(given):
    with pytest.raises(ValueError, match="unfreeze_after=2 has no effect with freeze=False"):
        tuned(given, unfreeze_after=2)


def test_the_file_is_read_once_a_fit(source, tmp_path, monkeypatch):
    source.save(tmp_path / "source")
    reads = []
    reader = _finetuned._network_reader[0]

    def counted(path):
        reads.append(path)
        return reader(path)

    monkeypatch.setattr(_finetuned, "_network_reader", [counted])
    model = tuned(tmp_path / "source")
    assert len(reads) == 1
    model.predict(NEW_X)
    model.save(tmp_path / "tuned")
    assert len(reads) == 1


def test_training_goes_on_without_what_it_started_from(source, tmp_path):
    path = tmp_path / "source"
    source.save(path)
    model = tuned(path, head_lr_ratio=5.0)
    model.save(tmp_path / "tuned")
    ratios = [group["lr_ratio"] for group in model.net_.optimizer_.param_groups]
    assert set(ratios) == {1.0, 0.2}
    path.unlink()
    for one in model, CNNClassifier.load(tmp_path / "tuned"):
        one.partial_fit(NEW_X, NEW_Y).set_params(warm_start=True).fit(NEW_X, NEW_Y)
        assert [group["lr_ratio"] for group in one.net_.optimizer_.param_groups] == ratios
    with pytest.raises(FileNotFoundError):
        model.set_params(warm_start=False).fit(NEW_X, NEW_Y)
