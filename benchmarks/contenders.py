"""Ways to train and to run one network: ours and its peers, each a small class.

Each contender gets the images as its users have them (uint8 for ours and for the tuned loop,
float32 in [0, 1] for the others), made before the clock runs. `fit` trains for some epochs from
the start, `predict` returns class probabilities.
"""

import os

import numpy as np
import torch
import torchvision
from networks import ResNet18, Textbook
from torch import nn
from torch.nn.functional import cross_entropy, softmax

LR = 1e-3
# ConvNet's parameters for the network of the textbook
TEXTBOOK = {
    "widths": (32, 64),
    "residual": False,
    "whitening": False,
    "activation": "relu",
    "norm": None,
    "grid": None,
    "hidden": (128,),
}


def make_network(case, pool_first=False):
    """Return the network of a case with fresh weights."""
    height, width, channels = case.image_shape
    if case.network == "textbook":
        return Textbook(channels, (height, width), case.n_classes, pool_first, case.padding)
    if case.network == "resnet50":
        return torchvision.models.resnet50(num_classes=case.n_classes)
    if case.network == "unet":
        from sklearn_cnn.architectures import UNet

        return UNet().build(channels, (height, width), case.n_classes)
    return ResNet18(channels, case.n_classes, (height, width))


def unit_range(images, channels_first):
    """Return uint8 images of shape (n, H, W, C) as float32 in [0, 1]."""
    if channels_first:
        images = images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images, dtype=np.float32) / 255


class Ours:
    """`CNNClassifier` on uint8 images."""

    def __init__(self, case, images, labels, precision="auto"):
        from sklearn_cnn import CNNClassifier
        from sklearn_cnn.architectures import ConvNet, TorchModule, UNet

        architectures = {
            "textbook": ConvNet(padding=case.padding, **TEXTBOOK),
            "resnet18": ResNet18,
            "unet": UNet(),
            "resnet50": TorchModule(torchvision.models.resnet50, num_classes=case.n_classes),
        }
        self.images, self.labels = images, labels
        self.classifier = CNNClassifier(
            architectures[case.network],
            augmentation=None,
            optimizer="adam",
            lr=LR,
            weight_decay=0.0,
            lr_schedule="constant",
            batch_size=case.batch_size,
            device=case.device,
            precision=precision,
            random_state=0,
        )

    def fit(self, epochs):
        self.classifier.set_params(max_epochs=epochs).fit(self.images, self.labels)
        # other random numbers in the next fit, as the others have
        self.classifier.random_state += 1

    def predict(self, images):
        return self.classifier.predict_proba(images)


class OursInFloat32(Ours):
    """The same without bfloat16, to see what `precision="auto"` gains."""

    def __init__(self, case, images, labels):
        super().__init__(case, images, labels, precision="float32")


class Skorch:
    """A plain `skorch.NeuralNetClassifier`."""

    def __init__(self, case, images, labels):
        from skorch import NeuralNetClassifier

        self.images, self.labels = unit_range(images, channels_first=True), labels
        self.net = NeuralNetClassifier(
            make_network(case),
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=LR,
            batch_size=case.batch_size,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
            device=case.device,
        )

    def fit(self, epochs):
        self.net.set_params(max_epochs=epochs).fit(self.images, self.labels)

    def predict(self, images):
        return self.net.predict_proba(images)

    def prepare(self, images):
        return unit_range(images, channels_first=True)


class Keras:
    """`model.fit` of Keras on TensorFlow. Its graph is traced before the clock runs."""

    def __init__(self, case, images, labels):
        os.environ["KERAS_BACKEND"] = "tensorflow"
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
        import keras
        from keras import layers

        self.case = case
        self.images, self.labels = unit_range(images, channels_first=False), labels
        self.model = keras.Sequential(
            [
                keras.Input(case.image_shape),
                layers.Conv2D(32, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Conv2D(64, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dense(128, activation="relu"),
                layers.Dense(case.n_classes, activation="softmax"),
            ]
        )
        self.model.compile(
            keras.optimizers.Adam(LR), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )

    def fit(self, epochs):
        batch_size = self.case.batch_size
        self.model.fit(self.images, self.labels, batch_size=batch_size, epochs=epochs, verbose=0)

    def predict(self, images):
        return self.model.predict(images, batch_size=self.case.batch_size, verbose=0)

    def prepare(self, images):
        return unit_range(images, channels_first=False)


class DataLoaderLoop:
    """The loop that PyTorch's tutorials teach."""

    def __init__(self, case, images, labels):
        self.case = case
        self.images = torch.from_numpy(unit_range(images, channels_first=True))
        self.labels = torch.from_numpy(labels)

    def fit(self, epochs):
        self.network = make_network(self.case)
        optimizer = torch.optim.Adam(self.network.parameters(), lr=LR)
        criterion = nn.CrossEntropyLoss()
        loader = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(self.images, self.labels),
            batch_size=self.case.batch_size,
            shuffle=True,
        )
        self.network.train()
        for _ in range(epochs):
            running_loss = 0.0
            for images, labels in loader:
                optimizer.zero_grad()
                loss = criterion(self.network(images), labels)
                loss.backward()
                optimizer.step()
                running_loss += loss.item()

    def predict(self, images):
        loader = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(images), batch_size=self.case.batch_size
        )
        self.network.eval()
        with torch.no_grad():
            outputs = [softmax(self.network(batch), dim=1) for (batch,) in loader]
        return torch.cat(outputs).numpy()

    def prepare(self, images):
        return torch.from_numpy(unit_range(images, channels_first=True))


class TunedLoop:
    """A loop written by hand for this network and machine, with every trick that ours uses."""

    def __init__(self, case, images, labels, lr=LR):
        keep_freed_memory()
        self.case = case
        self.lr = lr
        self.device = torch.device(case.device)
        self.images = torch.from_numpy(images).to(self.device)
        self.labels = torch.from_numpy(labels).to(self.device)
        self.bf16 = case.bf16
        if self.device.type == "cpu":
            self.bf16 = self.bf16 and torch.cpu._is_avx512_bf16_supported()

    def standardized(self, images):
        return torch.addcmul(self.shift, images, self.scale).permute(0, 3, 1, 2)

    def make_network(self):
        return make_network(self.case, pool_first=True)

    def fit(self, epochs):
        sample = self.images[:1000].float()
        mean, std = sample.mean(dim=(0, 1, 2)), sample.std(dim=(0, 1, 2))
        self.scale, self.shift = 1 / std, -mean / std
        network = self.make_network().to(self.device)
        self.network = network.to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=self.lr, fused=True)
        for _ in range(epochs):
            total = torch.zeros((), device=self.device)
            order = torch.randperm(len(self.images), device=self.device)
            for rows in order.split(self.case.batch_size):
                images = self.standardized(self.images[rows])
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                    logits = self.network(images)
                loss = cross_entropy(logits.float(), self.labels[rows])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total += loss.detach()
            total.item()

    @torch.inference_mode()
    def predict(self, images):
        self.network.eval()
        batches = torch.from_numpy(images).split(self.case.prediction_batch_size)
        outputs = [self.network(self.standardized(batch.to(self.device))) for batch in batches]
        return softmax(torch.cat(outputs), dim=1).cpu().numpy()


class ForwardPass:
    """The network called once in a batch of one: no faster answer is there for one image."""

    def __init__(self, case, images, labels):
        keep_freed_memory()
        network = make_network(case, pool_first=True)
        self.network = network.to(memory_format=torch.channels_last).eval()

    def fit(self, epochs):
        pass

    def predict(self, images):
        with torch.inference_mode():
            return self.network(images)

    def prepare(self, images):
        images = torch.from_numpy(unit_range(images, channels_first=True))
        return images.to(memory_format=torch.channels_last)


def keep_freed_memory():
    """Let glibc keep what is freed, so that no page of an activation is mapped twice."""
    import ctypes

    libc = ctypes.CDLL(None)
    m_trim_threshold, m_mmap_threshold = -1, -3
    libc.mallopt(m_mmap_threshold, 2**31 - 1)
    libc.mallopt(m_trim_threshold, 2**31 - 1)


CONTENDERS = {
    "ours": Ours,
    "ours, float32": OursInFloat32,
    "skorch": Skorch,
    "Keras": Keras,
    "DataLoader loop": DataLoaderLoop,
    "tuned loop": TunedLoop,
    "forward pass": ForwardPass,
}
