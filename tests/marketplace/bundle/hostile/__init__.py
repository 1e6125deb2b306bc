"""The hostile files of docs/bundle.md: each is a good bundle with one thing wrong, signed by whoever means harm.

``HOSTILE`` has (number in the list, name, code of the refusal, bytes). What is wrong below the signature is signed
anew, so that only the check that is meant can see it.
"""

from . import card, container, json_text, signature, weights, zstd  # noqa: F401 (each adds its own)
from .table import HOSTILE as HOSTILE
from .table import bundle as bundle
from .table import good as good
from .table import parts as parts
from .table import raw_files as raw_files
from .table import with_file as with_file
