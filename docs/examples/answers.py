"""
One estimator, five kinds of answers
====================================

What y is decides what a network answers: a label, several labels, a count, an angle, a place. All
else stays as it is: no argument is needed for any of them.

Run it with `python docs/examples/answers.py`; it needs `pip install "sklearn-cnn[plots]"` and takes
about two minutes.
"""

import drawings
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_cnn import CNNClassifier, CNNRegressor

N_SHOWN = 3


def load_sets():
    """Return for each question the images, y, and the kind of estimator."""
    digits = load_digits()
    discs, circles = drawings.draw_discs(1000)
    bars, angles = drawings.draw_bars(1000)
    blobs, counts = drawings.draw_blobs(1600)
    shapes, labels = drawings.draw_shapes(1600)
    # every second pixel is enough
    return {
        "Which digit?": (digits.images, digits.target, CNNClassifier),
        "Which shapes?": (shapes[:, ::2, ::2], labels, CNNClassifier),
        "How many blobs?": (blobs[:, ::2, ::2], counts, CNNRegressor),
        "At what angle?": (bars[:, ::2, ::2], angles, CNNRegressor),
        "How large, and where?": (discs[:, ::2, ::2], circles / 2, CNNRegressor),
    }


def draw_answer(ax, question, answer, truth):
    """Draw on an image, or above it, what was predicted for it; red where a label is wrong."""
    if question == "Which digit?":
        ax.set_title(answer, color="black" if answer == truth else "red")
    elif question == "Which shapes?":
        names = [name for name, there in zip(drawings.SHAPES, answer, strict=True) if there]
        wrong = (answer != truth).any()
        ax.set_title(", ".join(names) or "none", color="red" if wrong else "black", fontsize=10)
    elif question == "How large, and where?":
        radius, x, y = answer
        ax.add_patch(plt.Circle((x, y), radius, fill=False, color="C1", linewidth=2))
        ax.plot(x, y, "+", color="C1")
        ax.set_title(f"radius {radius:.1f}, true {truth[0]:.1f}")
    else:
        unit = "°" if question == "At what angle?" else ""
        ax.set_title(f"{answer:.1f}{unit}, true {truth:.3g}{unit}")


def main(n_images=None, max_epochs="auto"):
    """Ask the five questions, and draw the first answers on images of the test."""
    sets = load_sets()
    figure, axes = plt.subplots(
        N_SHOWN, len(sets), figsize=(2.1 * len(sets), 2.2 * N_SHOWN), layout="constrained"
    )
    for column, (question, (X, y, kind)) in zip(axes.T, sets.items(), strict=True):
        X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
        estimator = kind(max_epochs=max_epochs, random_state=0)
        estimator.fit(X_train[:n_images], y_train[:n_images])
        print(f"{question:22} {estimator.score(X_test, y_test):.3f}")
        answers = estimator.predict(X_test[:N_SHOWN])
        for ax, image, answer, truth in zip(column, X_test, answers, y_test, strict=False):
            ax.imshow(image, cmap="gray")
            ax.set(xticks=[], yticks=[])
            draw_answer(ax, question, answer, truth)
        column[0].text(
            0.5, 1.3, question, transform=column[0].transAxes, ha="center", weight="bold"
        )
    figure.savefig("answers.png", dpi=80)
    print("Figure: answers.png")


if __name__ == "__main__":
    main()
