"""Running and keeping an installation: local workers, checks, removal."""
