"""What builds the site lies beside the pages, and its modules import each other by bare names."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "_mkdocs"))
