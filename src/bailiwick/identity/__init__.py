"""Secrets and what proves them: keys derived from the master key, API keys, sealed secrets, the outbound guard."""
