"""Questions to the machine and the process: a free GPU, free memory, what a fork leaves behind."""
