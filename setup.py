"""Build hook: pack the settings of the repository into the wheel, for `hourglass init`.

Everything else about the package is in pyproject.toml.
"""

import json
import runpy
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

TEMPLATE = Path("src/hourglass/cli/template.py")


class BuildWithTemplate(build_py):
    """Write hourglass/cli/template.json, except for an editable install, which reads the files."""

    def run(self) -> None:
        """Build the package, then pack the template."""
        super().run()
        if not self.editable_mode:
            template = runpy.run_path(str(TEMPLATE))
            target = Path(self.build_lib, *TEMPLATE.parts[1:]).with_name(template["PACKED"])
            target.write_text(json.dumps(template["repository_files"](Path()), indent=1), "utf-8")


setup(cmdclass={"build_py": BuildWithTemplate})
