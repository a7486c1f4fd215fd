"""`python -m tvb_batch.submit` is `tvb-batch`."""

from tvb_batch.submit.cli import main

main(prog_name="tvb-batch")
