"""What a script or a notebook uses: `tvb_batch.submit`, `tvb_batch.find`, and what they return."""
