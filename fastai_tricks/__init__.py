__version__ = "0.0.1"

from .moved import install
install()
del install
