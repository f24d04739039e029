"""Train the small network on data/ for some time.

    python train.py SECONDS

L1 loss on the waveforms of random mixes, AdamW, one cosine schedule over the whole time, bfloat16.
Writes loss.csv and ema.pt, the moving average of the weights, which is the model.
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
INITIAL_LEARNING_RATE = 1e-3
EVALUATED = slice(20 * RATE, 40 * RATE)  # of each held-out song


def main(budget: float) -> None:
    """Train for `budget` seconds; print the held-out SDR now and then, and at the end."""
    torch.manual_seed(0)
    random.seed(0)
    train, held_out = songs()
    print(len(train), "songs,", len(held_out), "held out", flush=True)
    model = HTDemucs(**ARGUMENTS)
    average = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=INITIAL_LEARNING_RATE, weight_decay=1e-4, betas=(0.9, 0.99)
    )
    batches: queue.Queue[Tensor] = queue.Queue(6)
    threading.Thread(target=_produce, args=(train, batches), daemon=True).start()
    losses: list[float] = []
    began = time.monotonic()
    with open("loss.csv", "w", newline="") as file:
        rows = csv.writer(file)
        while (elapsed := time.monotonic() - began) < budget:
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(len(losses), elapsed / budget)
            losses.append(_step(model, optimizer, batches.get()))
            _update_average(average, model, len(losses))
            if len(losses) % 50 == 0:
                rows.writerow([len(losses), round(elapsed), statistics.mean(losses[-50:])])
            if len(losses) % 400 == 0:
                print(len(losses), f"{elapsed:.0f} s", f"{statistics.mean(losses[-200:]):.4f}")
            if len(losses) % 1000 == 0:
                print(_held_out_sdr(average, held_out), flush=True)
                torch.save(average.state_dict(), "ema.pt")
    torch.save(average.state_dict(), "ema.pt")
    print(len(losses), "steps", _held_out_sdr(average, held_out))


def _produce(train: list[Song], batches: queue.Queue[Tensor]) -> None:
    while True:
        batches.put(torch.stack([example(train) for _ in range(BATCH)]))


def _learning_rate(step: int, share: float) -> float:
    warm_up = min(1, (step + 1) / 100)
    return INITIAL_LEARNING_RATE * warm_up * (0.5 * (1 + math.cos(math.pi * share)) + 0.01)


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, stems: Tensor) -> float:
    """Take one step and return the loss. Mixes are normalized, as demucs does."""
    mix = stems.sum(1)
    level = mix.std(dim=(1, 2), keepdim=True) + 1e-4
    model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        estimate = model(mix / level)
    loss = nn.functional.l1_loss(estimate.float(), stems / level[:, None])
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return loss.item()


@torch.no_grad()
def _update_average(average: nn.Module, model: nn.Module, step: int) -> None:
    decay = min(0.998, step / (step + 9))
    for averaged, new in zip(average.parameters(), model.parameters(), strict=True):
        averaged.mul_(decay).add_(new, alpha=1 - decay)


@torch.inference_mode()
def _held_out_sdr(model: HTDemucs, held_out: list[Song]) -> dict[str, float]:
    """Return the median SDR over the held-out songs, in dB."""
    ratios: dict[str, list[float]] = {name: [] for name in SOURCES}
    for song in held_out:
        stems = torch.stack([song[name][:, EVALUATED].float() for name in SOURCES])
        mix = stems.sum(0)
        mean, deviation = mix.mean(0).mean(), mix.mean(0).std()
        estimate = apply_model(model, ((mix - mean) / deviation)[None], shifts=0)[0]
        errors = stems - (estimate * deviation + mean)
        for name, stem, error in zip(SOURCES, stems, errors, strict=True):
            if stem.pow(2).mean() > 1e-6:
                ratio = (stem.pow(2).sum() + 1e-8) / (error.pow(2).sum() + 1e-8)
                ratios[name].append(10 * torch.log10(ratio).item())
    return {name: round(statistics.median(values), 2) for name, values in ratios.items() if values}


if __name__ == "__main__":
    main(float(sys.argv[1]))
