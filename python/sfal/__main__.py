"""``python -m sfal``: the same as the ``sfal`` command."""

from sfal.cli.main import main

if __name__ == "__main__":
    main()
