"""Night School: a terminal chat whose model learns its user.

Importing the package loads neither torch nor textual; each room imports what it needs, when it needs it.
"""

__version__ = "0.1.0"
