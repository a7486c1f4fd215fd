"""The spec, the catalogue and the queue, shared by client and workers. This package never imports TVB."""
