"""Names every fault of files and ZIP files before the GUI sees them."""
