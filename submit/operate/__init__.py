"""Running and maintaining an installation: local workers, checks, removal."""
