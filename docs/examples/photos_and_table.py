"""
Photos and a table
==================

The price of a house from four photos and a table, both in one pipeline.

What a network that knows ImageNet sees on the photos stands beside bedrooms, bathrooms, area and
place, and a support vector machine learns prices from all of it. The network itself learns nothing:
each photo goes through it once, before a search chooses the settings of what comes behind.

Run it with `python docs/examples/photos_and_table.py`; it needs `pip install sklearn-cnn pandas`,
the packages of backbones.py and the Houses Dataset, see image_sets.py.
"""

import image_sets
import numpy as np
from backbones import make_backbone
from house_prices import PHOTOS, log_r2, median_relative_error
from sklearn.compose import (
    ColumnTransformer,
    TransformedTargetRegressor,
    make_column_selector,
)
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVR

from sklearn_cnn import CNNFeatures

NUMBERS = ["bedrooms", "bathrooms", "area"]
PLACE = ["zipcode"]
# Of the support vector machine. Its kernel compares houses in all that is known of them at once.
GRID = {"svr__C": [1, 3, 10], "svr__gamma": [0.001, 0.003, 0.01, 0.03]}
# Where features of photos are kept, and what all settings of a fold share.
MEMORY = "photos_and_table_cache"


def load():
    """Return tables with paths of photos, and prices in dollars, for training and for the test."""
    columns = [*PHOTOS, *NUMBERS, *PLACE]
    train, test = image_sets.split(image_sets.load_table("houses"))
    return train[columns], train["price"], test[columns], test["price"]


def make_estimator(photos=True, table=True, side=224):
    """Return the regressor of prices, from photos, from the table, or from both."""
    seen, learned = [], []
    if photos:
        features = CNNFeatures(make_backbone(), image_shape=(side, side), memory=MEMORY)
        seen += [(photo, features, [photo]) for photo in PHOTOS]
        # 428 houses do not tell 1,280 features apart: the twelve directions in which they differ
        directions = make_pipeline(StandardScaler(), PCA(12, random_state=0))
        learned += [(p, directions, make_column_selector(f"^{p}__")) for p in PHOTOS]
    if table:
        seen += [("numbers", "passthrough", NUMBERS), ("place", "passthrough", PLACE)]
        numbers = make_pipeline(FunctionTransformer(np.log1p), StandardScaler())
        places = OneHotEncoder(min_frequency=3, handle_unknown="ignore", sparse_output=False)
        learned.append(("numbers", numbers, make_column_selector("^numbers__")))
        learned.append(("place", places, make_column_selector("^place__")))
    model = make_pipeline(ColumnTransformer(learned), StandardScaler(), SVR(), memory=MEMORY)
    search = GridSearchCV(model, GRID, scoring="r2", cv=5)
    # the names of columns say where they are from
    both = make_pipeline(ColumnTransformer(seen).set_output(transform="pandas"), search)
    # prices differ by factors
    return TransformedTargetRegressor(both, func=np.log, inverse_func=np.exp)


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
