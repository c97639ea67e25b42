"""The systems that are compared: one module each, all behind `System`."""
