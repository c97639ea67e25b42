"""Every address at which a model can be asked something: one admission, its own forms."""
