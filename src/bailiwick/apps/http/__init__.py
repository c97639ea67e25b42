"""What HTTP applications share: reading credentials and addresses, writing errors and limits."""
