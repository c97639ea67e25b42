"""The dashboard: the control plane for people, in a browser."""
