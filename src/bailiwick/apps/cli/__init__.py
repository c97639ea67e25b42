"""The command line: `bailiwick serve`, `bailiwick doctor`."""
