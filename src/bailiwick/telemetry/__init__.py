"""What the processes tell their operators."""
