"""The engine as a process: hooks, plugins, the pipe, the client and the service behind it."""
