"""The seed's example, as it stands: a domain service that is handed its infrastructure.

    python examples/audio_processor.py [clip.wav]

Without a file it dials a number into one first. The speech-to-text server is a real process, examples/stt_server.py;
kill it while this runs and the next call still succeeds.
"""

from __future__ import annotations

import asyncio
import math
import struct
import sys
import tempfile
import wave
from pathlib import Path

from trunkline import EnhancedMCPClient, Infrastructure, MetricsCollector

CONFIG = {  # the same shape as a file: `mcpServers` as in any host, `trunkline` beside it
    "mcpServers": {
        "stt": {"command": sys.executable, "args": [str(Path(__file__).with_name("stt_server.py"))]},
    },
    "trunkline": {"servers": {"stt": {"trust_annotations": True}}},
}


class AudioProcessor:
    """Domain code: knows its tools by name, and nothing of processes, retries or protocols."""

    def __init__(self, mcp_client: EnhancedMCPClient, metrics: MetricsCollector):
        self.mcp_client = mcp_client
        self.metrics = metrics

    async def transcribe(self, path: str) -> str | None:
        """The text in an audio file; None when only a substitute answer could be had."""
        async with self.metrics.track("speech", "transcribe"):  # calls inside inherit the domain
            result = await self.mcp_client.call_tool("stt_transcribe_file", {"path": path}, timeout=20)
        return None if result.provenance.degraded else result.content[0].text


def dial(number: str, path: Path) -> None:
    """Write the tones of a dialled number as a WAV file: 100 ms each, 50 ms apart."""
    rate, tones = 8000, {}
    for row, keys in zip((697, 770, 852, 941), ("123A", "456B", "789C", "*0#D"), strict=True):
        for column, key in zip((1209, 1336, 1477, 1633), keys, strict=True):
            tones[key] = (row, column)
    samples: list[float] = []
    for key in number:
        low, high = tones[key]
        samples += [
            0.4 * (math.sin(2 * math.pi * low * t / rate) + math.sin(2 * math.pi * high * t / rate))
            for t in range(rate // 10)
        ]
        samples += [0.0] * (rate // 20)
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        sound.writeframes(b"".join(struct.pack("<h", int(32767 * sample)) for sample in samples))


async def main() -> None:
    """Wire the infrastructure, transcribe one clip, show what was recorded."""
    async with Infrastructure.from_config(CONFIG) as infra:
        with tempfile.TemporaryDirectory() as folder:
            clip = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder, "clip.wav")
            if len(sys.argv) == 1:
                dial("5550100#", clip)
            print("heard:", await AudioProcessor(infra.mcp_client, infra.metrics).transcribe(str(clip)))
        speech = infra.metrics.domain("speech")
        print(f"speech: {speech.requests} request, {speech.errors} errors, p50 {1000 * speech.p50:.0f} ms")


if __name__ == "__main__":
    asyncio.run(main())
