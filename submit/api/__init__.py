"""The Python API: `tvb_batch.submit`, `tvb_batch.find`, and the objects that they return."""
