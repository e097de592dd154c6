"""The training loop: batches, steps, validation, callbacks, devices."""
