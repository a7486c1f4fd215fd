"""The web pages: `tvb-batch serve` runs `submit.web.app` on a machine with the data directory."""
