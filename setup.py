"""What setup.cfg cannot say: ``configs/`` inside the wheel, and a README that can be read without the files beside it.

An installation with ``-e`` finds the configurations in the clone, see ``jde_lightning/packaged_configs.py``.
"""

import re
import shutil
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
_RELATIVE_LINK = re.compile(r"(!?)\[([^\[\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")


class BuildWithConfigs(build_py):
    """Copies the configurations into the package that is built."""

    def run(self) -> None:
        """Build the modules, then add the configurations."""
        super().run()
        if not self.editable_mode:
            inside = Path(self.build_lib, "jde_lightning", "configs")
            shutil.rmtree(inside, ignore_errors=True)  # an earlier build may have left files that are gone since
            shutil.copytree(ROOT / "configs", inside)


def long_description(readme: str, repository: str = "") -> str:
    """The README for a package index, where pictures and pages of the repository are not beside it.

    Args:
        readme: the text, whose links into the repository are relative.
        repository: address of the repository on GitHub, to which they then lead; without one, pictures are left out
            and links become their text.
    """

    def replace(found: re.Match[str]) -> str:
        picture, text, target = found.groups()
        if repository:
            return f"{picture}[{text}]({repository.rstrip('/')}/{'raw' if picture else 'blob'}/HEAD/{target})"
        return "" if picture else text

    return re.sub(r"\n{3,}", "\n\n", _RELATIVE_LINK.sub(replace, readme))


def repository_address() -> str:
    """What setup.cfg calls ``Source`` under ``project_urls``; empty if it names none."""
    declared = Distribution()
    declared.parse_config_files([str(ROOT / "setup.cfg")])
    return (declared.metadata.project_urls or {}).get("Source", "")


if __name__ == "__main__":
    setup(
        cmdclass={"build_py": BuildWithConfigs},
        long_description=long_description((ROOT / "README.md").read_text(encoding="utf-8"), repository_address()),
    )
