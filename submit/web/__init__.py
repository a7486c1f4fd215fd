"""The catalogue in a browser: `tvb-batch serve` runs `submit.web.app` on one machine that has the data directory."""
