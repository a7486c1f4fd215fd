"""Every query and every change of state; nothing else speaks SQL.

Every change of status is one conditional UPDATE that names the state it leaves and is checked to have hit a row. What
a worker writes names its claim's token too, so that one whose lease ran out can change nothing.
"""

from models.catalogue.adding import Adding
from models.catalogue.auditing import Auditing
from models.catalogue.control import Control
from models.catalogue.looking import Looking, SweepSummary, Waiting
from models.catalogue.measuring import Lacking, Measuring, Point, Spread, WorkerRow
from models.catalogue.sharing import Sharing
from models.catalogue.working import Claim, Held, OutputRecord

__all__ = [
    "Catalogue",
    "Claim",
    "Held",
    "Lacking",
    "OutputRecord",
    "Point",
    "Spread",
    "SweepSummary",
    "Waiting",
    "WorkerRow",
]


class Catalogue(Adding, Sharing, Control, Looking, Measuring, Auditing):
    """The database of all sweeps. One for each process: `dispose` it before a fork is used."""
