"""Every query and every change of state; nothing else speaks SQL.

Every change of status is one conditional UPDATE that names the state it leaves and is checked to have hit a row. What
a worker writes names its claim's token too, so that one whose lease ran out can change nothing.
"""

from tvb_batch.models.catalogue.claims import Claim, Held, OutputRecord
from tvb_batch.models.catalogue.control import Control
from tvb_batch.models.catalogue.file_records import FileRecords
from tvb_batch.models.catalogue.queries import Queries, SweepSummary, Waiting
from tvb_batch.models.catalogue.scheduling import Scheduling
from tvb_batch.models.catalogue.statistics import JobValue, Lacking, Spread, Statistics, WorkerRow
from tvb_batch.models.catalogue.submission import Submission

__all__ = [
    "Catalogue",
    "Claim",
    "Held",
    "JobValue",
    "Lacking",
    "OutputRecord",
    "Spread",
    "SweepSummary",
    "Waiting",
    "WorkerRow",
]


class Catalogue(Submission, Scheduling, Control, Queries, Statistics, FileRecords):
    """The database of all sweeps. One for each process: `dispose` it before a fork is used."""
