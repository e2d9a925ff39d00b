"""A page to try it: two files of vectors in, a verdict, a translator and a search across both out.

For one person on one machine: it listens to this machine alone, keeps files in a folder of its own until it ends, and
does one fit at a time.
"""

from interlingua.serve.app import create_app as create_app
from interlingua.serve.session import Session as Session
