"""What can stop the benchmark, told in one sentence and without a traceback."""


class BenchError(Exception):
    """The benchmark cannot go on, or one system cannot take part; the text says why."""
