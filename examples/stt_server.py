"""A small MCP server that turns sound into text: it reads the digits a telephone keypad dialled in a WAV file.

Real signal processing with the standard library alone, so that the example needs no model: each digit is a pair of
tones (ITU-T Q.23), found with Goertzel's algorithm (1958) in 50 ms windows.
"""

from __future__ import annotations

import math
import struct
import wave
from itertools import groupby
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

ROWS = (697, 770, 852, 941)
COLUMNS = (1209, 1336, 1477, 1633)
KEYS = ("123A", "456B", "789C", "*0#D")
WINDOW = 0.05
"""Seconds of sound that are looked at together."""
SILENCE = 0.01
"""Share of full scale below which a tone counts as absent."""

server = MCPServer("stt", log_level="ERROR")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def transcribe_file(path: str) -> str:
    """Read the keys dialled in a 16-bit mono WAV file, in order."""
    with wave.open(str(Path(path)), "rb") as sound:
        rate = sound.getframerate()
        frames = sound.readframes(sound.getnframes())
    samples = [value / 32768 for (value,) in struct.iter_unpack("<h", frames)]
    size = int(rate * WINDOW)
    heard = [key(samples[start : start + size], rate) for start in range(0, len(samples) - size + 1, size)]
    return "".join(found for found, _ in groupby(heard) if found is not None)


def key(window: list[float], rate: int) -> str | None:
    """The key whose two tones are in this window, None for silence."""
    row, column = strongest(window, rate, ROWS), strongest(window, rate, COLUMNS)
    return None if row is None or column is None else KEYS[row][column]


def strongest(window: list[float], rate: int, tones: tuple[int, ...]) -> int | None:
    """Index of the loudest of some tones, None when all are silent."""
    powers = [loudness(window, rate, tone) for tone in tones]
    best = max(range(len(tones)), key=powers.__getitem__)
    return best if powers[best] > SILENCE else None


def loudness(window: list[float], rate: int, tone: int) -> float:
    """Amplitude of one tone, as a share of full scale."""
    turn = 2 * math.cos(2 * math.pi * tone / rate)
    before, last = 0.0, 0.0
    for sample in window:
        before, last = last, sample + turn * last - before
    power = before * before + last * last - turn * before * last
    return 2 * math.sqrt(max(0.0, power)) / len(window)


if __name__ == "__main__":
    server.run("stdio")
