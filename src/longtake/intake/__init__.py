"""From a request to a queued job: parse, check, split, estimate, choose voices, submit. Knows no HTTP and no terminal.

The command line and the server both come in through here, so that the same script is judged the same way by both.
"""

from longtake.intake.intake import Intake, Judged
from longtake.intake.recordings import Recordings
from longtake.intake.request import JobRequest

__all__ = ["Intake", "JobRequest", "Judged", "Recordings"]
