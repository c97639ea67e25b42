"""The addresses of the control plane, by resource."""
