"""The commands that administer: each is a row that says which address of the control plane it asks, and how."""
