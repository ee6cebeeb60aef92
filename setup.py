"""What setup.cfg cannot say: the wheel carries ``configs/`` inside the package, for ``--config quickstart`` and such.

An installation with ``-e`` finds them in the clone, see ``jde_lightning/packaged_configs.py``.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Copies the configurations into the package that is built."""

    def run(self) -> None:
        """Build the modules, then add the configurations."""
        super().run()
        if not self.editable_mode:
            inside = Path(self.build_lib, "jde_lightning", "configs")
            shutil.rmtree(inside, ignore_errors=True)  # an earlier build may have left files that are gone since
            shutil.copytree(Path(__file__).parent / "configs", inside)


setup(cmdclass={"build_py": BuildWithConfigs})
