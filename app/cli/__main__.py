"""`python -m app.cli`, the same as `pulih`."""

from app.cli import main

main()
