"""``python -m tutelage``: the ``tutelage`` command."""

from tutelage.cli.root import main

if __name__ == "__main__":
    main()
