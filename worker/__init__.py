"""From a job's gid to verified files. The version of the whole distribution lives here."""

__version__ = "0.1.0"
