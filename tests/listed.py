"""A torch Dataset of what a test lists."""

from torch.utils.data import Dataset


class Listed(Dataset):
    """A Dataset of given items."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, row):
        return self.items[row]
