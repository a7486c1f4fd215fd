"""TVB's classes and files as data: declarations, contents of files, and building objects from sections."""
