"""``python -m sfal``: run the ``sfal`` command."""

from sfal.cli.main import main

if __name__ == "__main__":
    main()
