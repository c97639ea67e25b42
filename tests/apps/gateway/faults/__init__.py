"""What a provider does wrong, each fault with its test; `docs/explanation/failure.md` is the table of them."""
