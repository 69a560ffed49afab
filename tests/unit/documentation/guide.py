"""One guide of `docs/`, as its tests read it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


class Guide:
    """`docs/<name>.md`; where it shows code, that is taken from what is run in `docs_src/<name>/`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (ROOT / "docs" / f"{name}.md").read_text("utf-8")

    def __repr__(self) -> str:
        return self.name

    def blocks(self, language: str) -> list[str]:
        """The code blocks of one language."""
        return re.findall(rf"^ *```{language}\n(.*?)^ *```$", self.text, re.DOTALL | re.MULTILINE)

    def run_examples(self) -> subprocess.CompletedProcess[str]:
        """Run them with pytest, as a reader would."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"docs_src/{self.name}"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)

    def code_of_no_example(self) -> list[str]:
        """Lines of Python in the guide that are run nowhere."""
        examples = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs_src" / self.name).glob("*.py"))
        lines = (line.strip() for block in self.blocks("python") for line in block.splitlines())
        return [line for line in lines if line not in examples]
