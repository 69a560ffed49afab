"""What the README and `examples/` show, run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from trunkline.config import load

ROOT = Path(__file__).parents[2]


def readme_blocks(language: str) -> list[str]:
    """The README's code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.integration
@pytest.mark.requirement("SEED-DI-1")
def test_the_seeds_audio_processor_transcribes_a_clip_through_a_real_server() -> None:
    run = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "audio_processor.py")],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "heard: 5550100#" in run.stdout
    assert "speech: 1 request, 0 errors" in run.stdout


def test_the_readmes_configuration_loads_without_a_problem() -> None:
    (text,) = readme_blocks("toml")
    settings = load(tomllib.loads(text), environ={"SEARCH_TOKEN": "s3cret-token"})
    assert list(settings.servers) == ["search", "stt"]
    assert settings.servers["search"].policy.trust_annotations
    assert settings.tools["search_web"].idempotent
    assert settings.notices == ()


def test_the_configuration_of_make_run_names_servers_of_both_kinds() -> None:
    settings = load(ROOT / "examples" / "run.toml", must_exist=True)
    assert list(settings.servers) == ["time", "git", "everything", "files"]
    assert settings.notices == ()


def test_every_python_block_of_the_readme_compiles() -> None:
    blocks = readme_blocks("python")
    assert len(blocks) >= 2
    for block in blocks:
        # They await at their top level, as a reader's notebook or shell allows.
        wrapped = "async def shown():\n" + "\n".join(f"    {line}" for line in block.splitlines())
        compile(wrapped, "README.md", "exec")
