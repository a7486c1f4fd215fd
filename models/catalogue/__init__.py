"""All queries and changes of status. No other package uses SQL.

Every change of status is one conditional UPDATE. It names the old status, and the number of changed rows is checked. An
UPDATE by a worker also names the token of its claim, so a worker that has lost its lease cannot change anything.
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
    """The database of all sweeps. Each process has its own; call `dispose` after a fork."""
