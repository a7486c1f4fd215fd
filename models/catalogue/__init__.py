"""Every query and every change of state; nothing else speaks SQL.

Every change of status is one conditional UPDATE that names the state it leaves and is checked to have hit a row. What
a worker writes names its claim's token too, so that one whose lease ran out can change nothing.
"""

from tvb_batch.models.catalogue.claims import Claim, Held, OutputRecord
from tvb_batch.models.catalogue.control import Control
from tvb_batch.models.catalogue.file_records import Auditing
from tvb_batch.models.catalogue.queries import Looking, SweepSummary, Waiting
from tvb_batch.models.catalogue.scheduling import Sharing
from tvb_batch.models.catalogue.statistics import Lacking, Measuring, Point, Spread, WorkerRow
from tvb_batch.models.catalogue.submission import Adding

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
