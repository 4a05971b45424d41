"""Tags of WAV files by a tagger in ONNX: python tag_onnx.py TAGGER.onnx FILE.wav ...

Needs numpy and onnxruntime only. The file is made by: sonogrid export RUN --to TAGGER.onnx
"""

import json
import sys
import wave

import numpy as np
import onnxruntime


def read_wav(path: str) -> tuple[np.ndarray, int]:
    """Mono samples of full scale 1, float32 (samples,), and their rate in Hz."""
    with wave.open(path) as file:
        width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
        data = file.readframes(file.getnframes())
    if width != 2:
        raise SystemExit(f"{path} has samples of {8 * width} bits: convert it to 16 bits")
    frames = np.frombuffer(data, "<i2").reshape(-1, channels)
    return (frames / 32768).mean(axis=1).astype(np.float32), rate


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Samples at another rate: the spectrum, cut off or continued with zeros."""
    if rate == wanted:
        return samples
    length = -(-len(samples) * wanted // rate)
    spectrum = np.fft.rfft(samples)
    resized = np.zeros(length // 2 + 1, spectrum.dtype)
    kept = min(len(spectrum), len(resized))
    resized[:kept] = spectrum[:kept]
    return (np.fft.irfft(resized, length) * length / len(samples)).astype(np.float32)


def main(tagger: str, *paths: str) -> None:
    """Print the three best tags of each file."""
    session = onnxruntime.InferenceSession(tagger, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    labels, thresholds = json.loads(facts["labels"]), json.loads(facts["thresholds"])
    for path in paths:
        samples = resample(*read_wav(path), int(facts["sample_rate_hz"]))
        scores = session.run(["scores"], {"samples": samples[None]})[0][0]
        best = np.argsort(-scores, kind="stable")[:3]
        tags = [f"{labels[i]} {scores[i]:.3f}{'' if scores[i] >= thresholds[i] else '?'}" for i in best]
        print(f"{path}: {'  '.join(tags)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
