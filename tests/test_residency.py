"""Images lie on the device if they fit."""

import pytest
import torch

from sklearn_cnn.training import residency
from sklearn_cnn.training.residency import fits, place, send

GIB = 2**30


@pytest.mark.parametrize(
    ("n_bytes", "free_bytes", "on_device"),
    [(0, 0, True), (4 * GIB, 8 * GIB, True), (4 * GIB + 1, 8 * GIB, False), (1, 0, False)],
)
def test_images_may_take_half_of_the_free_memory(n_bytes, free_bytes, on_device):
    assert fits(n_bytes, free_bytes) is on_device


def test_the_cpu_keeps_images_where_they_are():
    images = torch.zeros(2, 3, 3, 1, dtype=torch.uint8)
    assert place(images, torch.device("cpu")) is images
    assert send(images, torch.device("cpu")) is images


def test_images_too_large_for_a_gpu_stay_on_the_host(monkeypatch):
    images = torch.zeros(2, 3, 3, 1, dtype=torch.uint8)
    asked = []

    def mem_get_info(device):
        asked.append(device)
        return 35, 80 * GIB

    monkeypatch.setattr(residency.torch.cuda, "mem_get_info", mem_get_info)
    assert place(images, torch.device("cuda", 1)) is images
    assert asked == [torch.device("cuda", 1)]
