"""The data plane over HTTP: an ordinary ASGI application, and the process that serves it."""
