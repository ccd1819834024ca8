"""``python -m pyrlm`` is the command ``pyrlm``."""

from pyrlm.cli import main

main()
