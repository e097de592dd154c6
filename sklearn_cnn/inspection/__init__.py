"""What a fitted network looks at."""

from sklearn_cnn.inspection._attributions import attributions

__all__ = ["attributions"]
