"""``python -m greenmachine`` is the command ``greenmachine``."""

from greenmachine.cli import main

if __name__ == "__main__":  # workers import this module under another name
    main()
