"""The full screens and dialogs of the app, one a file."""
