"""A web page for trying interlingua: it takes two files of vectors and gives a verdict, a translator and a search.

It is for one person on one machine: it listens to this machine only, keeps files in a temporary folder until it stops,
and runs one fit at a time.
"""

from interlingua.serve.app import create_app
from interlingua.serve.folders import session_folder
from interlingua.serve.session import Session

__all__ = ["Session", "create_app", "session_folder"]
