"""All benchmarks, or the named ones, as one table: `python -m benchmarks [NAME...]`."""

import subprocess
import sys

from benchmarks.table import show

NAMES = ("engine", "sweep", "overhead", "catalogue", "memory", "writing", "startup", "web", "bundle", "looks", "claims")


def main() -> None:
    """Print the table; stop at a benchmark that fails."""
    names = sys.argv[1:] or NAMES
    if unknown := set(names) - set(NAMES):
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    show([])
    for name in names:
        # A process each: none finds what another has loaded, and the peak of its children's memory is its own.
        program = f"from benchmarks import table, {name}; table.show({name}.rows(), has_head=False)"
        done = subprocess.run([sys.executable, "-c", program])
        if done.returncode:
            sys.exit(done.returncode)


if __name__ == "__main__":
    main()
