"""The command line: ``python -m asyncflow``. It uses what `asyncflow` exports, as users do."""
