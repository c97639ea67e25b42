"""Model providers: how each is spoken to, and what comes back."""
