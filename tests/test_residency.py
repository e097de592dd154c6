"""Images lie on the device if they fit."""

import torch

from sklearn_cnn.training import residency
from sklearn_cnn.training.residency import send, to_device


def test_the_cpu_keeps_images_where_they_are():
    images = torch.zeros(2, 3, 3, 1, dtype=torch.uint8)
    assert to_device(images, torch.device("cpu")) is images
    assert send(images, torch.device("cpu")) is images


def test_images_too_large_for_a_gpu_stay_on_the_host(monkeypatch):
    images = torch.zeros(2, 3, 3, 1, dtype=torch.uint8)
    monkeypatch.setattr(residency, "free_memory", {torch.device("cuda", 1): 35}.__getitem__)
    assert to_device(images, torch.device("cuda", 1)) is images
