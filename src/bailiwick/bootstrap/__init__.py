"""The composition root: builds each process's parts from plain values, and closes them in reverse."""
