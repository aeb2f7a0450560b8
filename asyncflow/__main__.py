"""``python -m asyncflow``: what it does is in `asyncflow.cli`."""

from asyncflow.cli.main import main

if __name__ == "__main__":
    main()
