"""`python -m services.cli`: the entry of the launcher."""

from services.cli.program import main

if __name__ == "__main__":
    main()
