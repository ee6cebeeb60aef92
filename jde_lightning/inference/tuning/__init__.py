"""The search for a tracker's parameters on cached detections: no network runs, a trial takes a second.

A folder of its own, because the search has some parts that only it needs: what is tuned on (``sequences``,
``holdout``), what is tried (``search_space``), how a try is scored (``evaluation``, ``landscape``), who decides
(``study``), and what is told (``report``, ``table7``).
"""

from jde_lightning.inference.tuning.evaluation import TrackerChoice, evaluate_sequences
from jde_lightning.inference.tuning.holdout import Plan, plan_holdout
from jde_lightning.inference.tuning.landscape import score_landscape
from jde_lightning.inference.tuning.search_space import SearchSpace, default_space, read_space
from jde_lightning.inference.tuning.sequences import TuningSequence, tuning_sequences
from jde_lightning.inference.tuning.study import Objective, StudyResult, search

__all__ = [
    "Objective",
    "Plan",
    "SearchSpace",
    "StudyResult",
    "TrackerChoice",
    "TuningSequence",
    "default_space",
    "evaluate_sequences",
    "plan_holdout",
    "read_space",
    "score_landscape",
    "search",
    "tuning_sequences",
]
