"""What report writes for other programs: the article's findings, judged."""

from pipeline.core import paths
from pipeline.core.run_names import FINDING_IDS
from pipeline.core.schemas import Records

FINDINGS = Records(
    paths.FINDINGS,
    "a finding of the article, judged on this run",
    {
        "id": f"one of {', '.join(FINDING_IDS)}",
        "statement": "what the article says",
        "article": "its figure",
        "measured": "this run's figure",
        "verdict": "agrees, differs, cannot tell, or not judged where the run lacks what it is about",
        "reason": "the numbers that decided the verdict",
    },
)
