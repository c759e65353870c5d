"""Registrar's command line: `python manage.py --help` lists what it can do."""

from project.commands import main

if __name__ == "__main__":
    main()
