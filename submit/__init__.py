"""The client: what a script, the command line and the browser's pages do. `tvb_batch` holds its public part."""
