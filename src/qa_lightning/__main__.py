"""Run the command line: ``python -m qa_lightning``."""

from qa_lightning.cli import main

if __name__ == "__main__":
    main()
