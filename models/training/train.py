"""Train the small network on data/: python train.py SECONDS

L1 on the waveforms of mixes made on the spot, AdamW, one cosine over the time given, bfloat16.
Writes ema.pt (the moving average of the weights, which is the model) and loss.csv.
"""

import copy
import csv
import math
import queue
import random
import statistics
import sys
import threading
import time

import torch
from demucs.apply import apply_model
from demucs.htdemucs import HTDemucs
from mixes import Song, example, songs
from network import ARGUMENTS, RATE, SOURCES
from torch import Tensor, nn

BATCH = 3
RATE_AT_START = 1e-3
HEARD = slice(20 * RATE, 40 * RATE)  # of each held-out song


def main(budget: float) -> None:
    """Train for `budget` seconds; tell the held-out SDR now and at the end."""
    torch.manual_seed(0)
    random.seed(0)
    train, held = songs()
    print(len(train), "songs,", len(held), "held out", flush=True)
    model = HTDemucs(**ARGUMENTS)
    average = copy.deepcopy(model)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=RATE_AT_START, weight_decay=1e-4, betas=(0.9, 0.99)
    )
    batches: queue.Queue[Tensor] = queue.Queue(6)
    threading.Thread(target=_produce, args=(train, batches), daemon=True).start()
    losses: list[float] = []
    began = time.monotonic()
    with open("loss.csv", "w", newline="") as file:
        rows = csv.writer(file)
        while (elapsed := time.monotonic() - began) < budget:
            for group in optimiser.param_groups:
                group["lr"] = _rate(len(losses), elapsed / budget)
            losses.append(_step(model, optimiser, batches.get()))
            _follow(average, model, len(losses))
            if len(losses) % 50 == 0:
                rows.writerow([len(losses), round(elapsed), statistics.mean(losses[-50:])])
            if len(losses) % 400 == 0:
                print(len(losses), f"{elapsed:.0f} s", f"{statistics.mean(losses[-200:]):.4f}")
            if len(losses) % 1000 == 0:
                print(_held_out_sdr(average, held), flush=True)
                torch.save(average.state_dict(), "ema.pt")
    torch.save(average.state_dict(), "ema.pt")
    print(len(losses), "steps", _held_out_sdr(average, held))


def _produce(train: list[Song], batches: queue.Queue[Tensor]) -> None:
    while True:
        batches.put(torch.stack([example(train) for _ in range(BATCH)]))


def _rate(step: int, share: float) -> float:
    warm = min(1, (step + 1) / 100)
    return RATE_AT_START * warm * (0.5 * (1 + math.cos(math.pi * share)) + 0.01)


def _step(model: nn.Module, optimiser: torch.optim.Optimizer, stems: Tensor) -> float:
    """One step; the loss. Mixes are brought to one level, as demucs does before separating."""
    mix = stems.sum(1)
    level = mix.std(dim=(1, 2), keepdim=True) + 1e-4
    model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        estimate = model(mix / level)
    loss = nn.functional.l1_loss(estimate.float(), stems / level[:, None])
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimiser.step()
    return loss.item()


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, step: int) -> None:
    decay = min(0.998, step / (step + 9))
    for kept, new in zip(average.parameters(), model.parameters(), strict=True):
        kept.mul_(decay).add_(new, alpha=1 - decay)


@torch.inference_mode()
def _held_out_sdr(model: HTDemucs, held: list[Song]) -> dict[str, float]:
    """The median over the held-out songs, in dB."""
    found: dict[str, list[float]] = {name: [] for name in SOURCES}
    for song in held:
        stems = torch.stack([song[name][:, HEARD].float() for name in SOURCES])
        mix = stems.sum(0)
        mean, deviation = mix.mean(0).mean(), mix.mean(0).std()
        estimate = apply_model(model, ((mix - mean) / deviation)[None], shifts=0)[0]
        errors = stems - (estimate * deviation + mean)
        for name, stem, error in zip(SOURCES, stems, errors, strict=True):
            if stem.pow(2).mean() > 1e-6:
                ratio = (stem.pow(2).sum() + 1e-8) / (error.pow(2).sum() + 1e-8)
                found[name].append(10 * torch.log10(ratio).item())
    return {name: round(statistics.median(all_), 2) for name, all_ in found.items() if all_}


if __name__ == "__main__":
    main(float(sys.argv[1]))
