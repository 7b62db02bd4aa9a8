"""Reads a Dockerfile: its stages, each a list of instructions."""

import json
import shlex
from pathlib import Path
from typing import NamedTuple


class Instruction(NamedTuple):
    """One instruction, its continuation lines joined."""

    keyword: str
    text: str

    def words(self) -> list[str]:
        """Its arguments, of the exec form too."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)

    def pairs(self) -> dict[str, str]:
        """`KEY=VALUE ...`, as in ENV and LABEL."""
        return dict(word.partition("=")[::2] for word in self.words())


def stages(file: Path) -> list[list[Instruction]]:
    """The instructions of each stage, its FROM first; what stands before the first FROM is left out."""
    lines = [line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]
    found: list[list[Instruction]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        keyword, _, text = line.strip().partition(" ")
        if keyword == "FROM":
            found.append([])
        if found:
            found[-1].append(Instruction(keyword, text.strip()))
    return found


def of(stage: list[Instruction], keyword: str) -> list[Instruction]:
    """The instructions of one kind."""
    return [instruction for instruction in stage if instruction.keyword == keyword]
