"""`python -m submit` is `tvb-batch`."""

from submit.cli import main

main(prog_name="tvb-batch")
