"""What runs: the gateway, the admin API, the command line."""
