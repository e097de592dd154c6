"""Losses of a value for each pixel, against values by hand and by name in the estimators."""

import numpy as np
import pytest
import torch
from drawn_pixels import MapNet, map_classifier, shapes
from torch import nn
from torch.nn import functional

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.losses import DiceAndLogLoss, DiceLoss, FocalLoss, ScaleInvariantLogLoss

RNG = torch.Generator().manual_seed(0)
LOGITS = torch.randn(2, 3, 4, 5, generator=RNG)
# the second image has no pixel of class 2
MASKS = torch.stack(
    [torch.randint(0, 3, (4, 5), generator=RNG), torch.randint(0, 2, (4, 5), generator=RNG)]
)


def dice_by_hand(logits, mask):
    probabilities, losses = logits.softmax(dim=0), []
    for label in mask.unique():
        p, t = probabilities[label], (mask == label).float()
        losses.append(1 - 2 * (p * t).sum() / (p.sum() + t.sum()))
    return torch.stack(losses).mean()


def test_dice_is_the_mean_over_the_classes_of_each_image():
    expected = torch.stack([dice_by_hand(*pair) for pair in zip(LOGITS, MASKS, strict=True)])
    torch.testing.assert_close(DiceLoss(reduction="none")(LOGITS, MASKS), expected)
    torch.testing.assert_close(DiceLoss()(LOGITS, MASKS), expected.mean())


@pytest.mark.parametrize("loss", [DiceLoss, DiceAndLogLoss, FocalLoss])
def test_pixels_that_do_not_count_are_as_if_they_were_not_there(loss):
    masks = MASKS.clone()
    masks[:, :, 3:] = -100
    logits = LOGITS.clone().requires_grad_()
    left_out = loss()(logits, masks)
    torch.testing.assert_close(left_out, loss()(LOGITS[..., :3], MASKS[..., :3]))
    left_out.backward()
    assert (logits.grad[..., 3:] == 0).all()
    nothing = loss()(logits, torch.full_like(masks, -100))
    assert nothing.item() == 0


def test_the_sum_of_dice_and_log_loss():
    expected = DiceLoss()(LOGITS, MASKS) + nn.CrossEntropyLoss()(LOGITS, MASKS)
    torch.testing.assert_close(DiceAndLogLoss()(LOGITS, MASKS), expected)


def test_the_sum_of_dice_and_log_loss_smooths_labels_in_the_latter():
    masks = MASKS.clone()
    masks[:, 0] = -100
    entropy = nn.CrossEntropyLoss(label_smoothing=0.1)
    torch.testing.assert_close(
        DiceAndLogLoss(label_smoothing=0.1)(LOGITS, masks),
        DiceLoss()(LOGITS, masks) + entropy(LOGITS, masks),
    )


@pytest.mark.parametrize("class_weight", [None, {0: 0.5, 1: 2, 2: 3}])
def test_smoothed_labels_of_pixels(class_weight):
    X, masks = shapes()
    ignored = np.zeros(masks.shape, dtype=bool)
    ignored[:, 0] = True
    classifier = map_classifier(
        label_smoothing=0.2, class_weight=class_weight, ignore_label=255, max_epochs=1
    )
    weights = np.linspace(0.5, 1.5, len(X))
    marked = np.where(ignored, 255, masks)
    classifier.fit(X, marked, X_val=X, y_val=marked, sample_weight_val=weights)
    logits = torch.from_numpy(classifier.decision_function(X)).permute(0, 3, 1, 2)
    losses = functional.cross_entropy(
        logits, torch.from_numpy(masks).long(), reduction="none", label_smoothing=0.2
    ).numpy()
    # the whole of the mixed label weighs as its pixel does; over all pixels the mean is 1
    of_pixels = np.ones(3) if class_weight is None else np.array(list(class_weight.values()))
    of_pixels = of_pixels[masks]
    of_pixels /= of_pixels[~ignored].mean()
    expected = (losses * of_pixels * weights[:, None, None])[~ignored].mean()
    assert classifier.history_[0]["valid_loss"] == pytest.approx(expected, rel=1e-5)


def test_several_smoothed_labels_a_pixel():
    X, masks = shapes()
    labels = np.stack([masks > 0, masks == 2], axis=-1).astype(np.uint8)
    labels[:, 0] = 9
    classifier = map_classifier(
        label_smoothing=0.2, class_weight={1: 3.0}, ignore_label=9, max_epochs=1
    )
    classifier.fit(X, labels, X_val=X, y_val=labels)
    logits, target = classifier.decision_function(X)[:, 1:], labels[:, 1:]
    smooth = np.where(target == 1, 0.9, 0.1).astype(np.float32)
    losses = functional.binary_cross_entropy_with_logits(
        *map(torch.from_numpy, (logits, smooth)), reduction="none"
    )
    weights = np.where((target == 1) & [False, True], 3.0, 1.0)
    expected = (losses.numpy() * weights).mean() / weights.mean()
    assert classifier.history_[0]["valid_loss"] == pytest.approx(expected, rel=1e-5)


def test_focal_loss_of_a_pixel():
    logits = torch.tensor([[0.9, 0.1]]).log().view(1, 2, 1, 1)
    loss = FocalLoss()(logits, torch.zeros(1, 1, 1, dtype=torch.int64))
    assert loss.item() == pytest.approx(-(0.1**2) * np.log(0.9), rel=1e-5)


def depth_loss(predicted, true, **params):
    """Of depths whose mean is 2 and standard deviation 0.5."""
    standardized = ((torch.tensor(v) - 2) / 0.5 for v in (predicted, true))
    return ScaleInvariantLogLoss([2.0], [0.5], **params)(
        *(v.view(1, 1, 1, -1) for v in standardized)
    )


def test_half_of_a_factor_is_forgiven():
    assert depth_loss([2.0, 4.0], [1.0, 2.0]).item() == pytest.approx(np.log(2) ** 2 / 2, rel=1e-5)
    errors = np.log([2, 1 / 3])
    expected = np.mean(errors**2) - np.mean(errors) ** 2 / 2
    assert depth_loss([2.0, 1.0], [1.0, 3.0]).item() == pytest.approx(expected, rel=1e-5)


def test_depths_that_are_missing_do_not_count():
    with_hole = depth_loss([2.0, 1.0, 9.0], [1.0, 3.0, torch.nan], reduction="none")
    torch.testing.assert_close(with_hole, depth_loss([2.0, 1.0], [1.0, 3.0], reduction="none"))


def test_negative_outputs_learn_too():
    output = torch.tensor([[[[-9.0]]]], requires_grad=True)
    ScaleInvariantLogLoss([2.0], [0.5])(output, torch.zeros(1, 1, 1, 1)).backward()
    assert output.grad.isfinite().all()
    assert output.grad.item() < 0


@pytest.mark.parametrize("loss", ["dice", "dice+log_loss", "focal"])
def test_masks_are_learned_by_each_loss(loss):
    X, masks = shapes()
    masks[:, 0] = 255
    classifier = map_classifier(loss=loss, ignore_label=255, max_epochs=20).fit(X, masks)
    assert classifier.score(X, masks) > 0.8
    assert classifier.predict_proba(X[:2]).shape == (2, 16, 20, 3)


def test_depths_are_learned_by_the_scale_invariant_loss():
    X, masks = shapes()
    depths = np.array([4.0, 1.0, 2.0])[masks]
    depths[:, 0] = np.nan
    regressor = CNNRegressor(
        MapNet, loss="scale_invariant_log", max_epochs=20, batch_size=8, lr=0.03, random_state=0
    )
    assert regressor.fit(X, depths).score(X, depths) > 0.8
    depths[2, 5, 5] = 0
    said = r"Depths are positive, but y\[2\] holds 0. Write NaN for pixels that have none"
    with pytest.raises(ValueError, match=said):
        regressor.fit(X, depths)
    with pytest.raises(ValueError, match=r"Depths are positive, but y_val\[1\] holds 0"):
        regressor.fit(X[3:], depths[3:], X_val=X[1:3], y_val=depths[1:3])


@pytest.mark.parametrize(
    ("loss", "instead"),
    [
        (nn.MultiMarginLoss(), "nn.CrossEntropyLoss"),
        (nn.MultiLabelSoftMarginLoss(), "nn.BCEWithLogitsLoss"),
    ],
)
def test_losses_of_images_alone_are_refused(loss, instead):
    X, masks = shapes(8)
    y = masks if instead == "nn.CrossEntropyLoss" else np.stack([masks > 0, masks > 1], axis=-1)
    with pytest.raises(ValueError, match=rf"it is of images alone.* Use {instead}"):
        map_classifier(loss=loss).fit(X, y)


def test_losses_of_maps_are_not_for_labels_of_images():
    X, masks = shapes(8)
    with pytest.raises(ValueError, match="loss='dice' is not for a y with a value for each image"):
        CNNClassifier(loss="dice").fit(X, masks[:, 0, 0] + np.arange(8) % 2)
    with pytest.raises(ValueError, match="is not for a y with a value for each image"):
        CNNRegressor(loss="scale_invariant_log").fit(X, np.arange(8.0))
