"""How people come in and go out, and what they change of that themselves."""
