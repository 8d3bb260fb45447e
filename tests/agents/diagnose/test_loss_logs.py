"""Logs in the shapes that public training scripts print or write: both losses come out, number for number."""
# ruff: noqa: E501 (lines of logs are as long as scripts print them)

import json
import os
import sys
import time

import numpy as np
import pytest

from agents.diagnose.loss_logs import read_losses
from gan_env.cli import main

N = 40
NOISE = np.random.default_rng(0).uniform(0.95, 1.05, (3, N))
D = 1.386 * np.exp(-np.arange(N) / 12) * NOISE[0]
REAL = D * 0.5 * NOISE[2]
FAKE = D - REAL
G = 0.7 + 0.1 * np.arange(N) * NOISE[1]
ROWS = list(zip(range(N), D, G, REAL, FAKE, strict=True))


def each(write) -> str:
    """A line (or a block) a row."""
    return "".join(write(*row) + "\n" for row in ROWS)


def bar(text: str) -> str:
    """A progress bar's updates on one line of the terminal."""
    return "\r".join(text.splitlines())


PRINTED = {
    # tutorials and collections of implementations
    "PyTorch's DCGAN tutorial": each(lambda i, d, g, r, f: f"[0/5][{50 * i}/1583]\tLoss_D: {d:.4f}\tLoss_G: {g:.4f}\tD(x): {i / N:.4f}\tD(G(z)): 0.4 / 0.3"),
    "PyTorch-GAN": each(lambda i, d, g, r, f: f"[Epoch {i // 9}/200] [Batch {i % 9}/9] [D loss: {d:f}] [G loss: {g:f}]"),
    "Keras-GAN": each(lambda i, d, g, r, f: f"{i} [D loss: {d:f}, acc.: {50 + i:.2f}%] [G loss: {g:f}]"),
    "Keras-GAN, lists": each(lambda i, d, g, r, f: f"{i} [D loss: [{d:f}, 0.5]] [G loss: {g:f}]"),
    "Keras-GAN, one number a sample": each(lambda i, d, g, r, f: f"{i} [D loss: [{d:f} 0.5 0.25]] [G loss: [{g:f} 0.1]]"),
    "TensorFlow's tutorial": each(lambda i, d, g, r, f: f"Epoch {i + 1}, gen loss={g:.6f}, disc loss={d:.6f}, {{3.51 sec}}"),
    "TensorFlow, no colon": each(lambda i, d, g, r, f: f"Step {i}: Generator Loss {g:.6f} Discriminator Loss {d:.6f}"),
    "TensorFlow's examples": each(lambda i, d, g, r, f: f"Step {100 * i}: Generator Loss: {g:f}, Discriminator Loss: {d:f}"),
    "TensorFlow, eager tensors": each(lambda i, d, g, r, f: f"gen loss: <tf.Tensor: shape=(), dtype=float32, numpy={g:f}> disc loss: <tf.Tensor: shape=(), dtype=float32, numpy={d:f}>"),
    "TensorFlow, printed tensors": each(lambda i, d, g, r, f: f"Epoch {i}, gen_loss=tf.Tensor({g:f}, shape=(), dtype=float32), disc_loss=tf.Tensor({d:f}, shape=(), dtype=float32)"),
    "Chollet's book": each(lambda i, d, g, r, f: f"discriminator loss at step {100 * i}: {d:f}\nadversarial loss at step {100 * i}: {g:f}"),
    "a counter after the name": each(lambda i, d, g, r, f: f"D loss after {100 * i:,d} iterations: {d:f} | G loss (epoch {i}) = {g:f}"),
    "a counter in brackets": each(lambda i, d, g, r, f: f"d_loss[{i}]: {d:f}; g_loss@{i}: {g:f}"),
    "Julia": each(lambda i, d, g, r, f: f"Train step {i}, Discriminator loss = {1000 * d:.4f}f-3, Generator loss = {g:f}f0"),
    "TensorFlow's pix2pix": each(lambda i, d, g, r, f: f"step={i} gen_total_loss={100 * g + 20:f} gen_gan_loss={g:f} gen_l1_loss=0.2 disc_loss={d:f}"),
    "tensors": each(lambda i, d, g, r, f: f"D: tensor({d:.4f}, device='cuda:0', grad_fn=<MeanBackward0>) G: tensor({g:.4f}, grad_fn=<NegBackward0>)"),
    "NumPy 2": each(lambda i, d, g, r, f: f"d_loss np.float64({d!r}) g_loss np.float64({g!r})"),
    "Machine Learning Mastery": each(lambda i, d, g, r, f: f">{i + 1}, 3/40, d1={r:.4f}, d2={f:.4f} g={g:.4f}"),
    "its critics": each(lambda i, d, g, r, f: f">{i + 1}, c1={r:.4f}, c2={f:.4f} g={g:.4f}"),
    "progan": each(lambda i, d, g, r, f: f"Elapsed: [0:00:{i:02}]  batch: {i}  d_loss: {d:f}  g_loss: {g:f}"),
    "ProGAN in TensorFlow": each(lambda i, d, g, r, f: f"tick {i:<5d} kimg {4.1 * i:<8.1f} lod 0.00 minibatch 16 time 1m 02s sec/tick 30.1 Gloss {g:<8.4f} Dloss {d:<8.4f} maintenance 0.0"),
    "tflib": each(lambda i, d, g, r, f: f"iter {i}\ttime\t0.123\ttrain gen cost\t{g}\ttrain disc cost\t{d}"),
    "SNGAN in Chainer": "epoch       iteration   loss_gen    loss_dis    inception_mean\n" + each(lambda i, d, g, r, f: f"{i // 9:<11d} {i:<11d} {g:<11.5g} {d:<11.5g} {5 + i / 9:<11.5g}"),
    "pix2pix": "================ Training Loss (Mon Jan  6 10:00:00 2025) ================\n" + each(lambda i, d, g, r, f: f"(epoch: {1 + i // 9}, iters: {100 * (i % 9)}, time: 0.110, data: 0.000) G_GAN: {g:.4f} G_L1: 20.000 D_real: {r:.4f} D_fake: {f:.4f} "),
    "pix2pixHD": each(lambda i, d, g, r, f: f"(epoch: 1, iters: {i}, time: 0.110) G_GAN: {g:.4f} G_GAN_Feat: 5.100 G_VGG: 3.100 D_real: {r:.4f} D_fake: {f:.4f} "),
    "SPADE": each(lambda i, d, g, r, f: f"(epoch: 1, iters: {i}, time: 0.110) GAN: {g:.4f} GAN_Feat: 5.100 VGG: 3.100 D_Fake: {f:.4f} D_real: {r:.4f} "),
    "BigGAN-PyTorch": each(lambda i, d, g, r, f: f"{i}/200 (  2.2%) (TE/ETC: 0:12 / 4:12) itr: {i}, G_loss : {g:+4.3f}, D_loss_real : {r:+4.3f}, D_loss_fake : {f:+4.3f}"),
    "BasicSR": each(lambda i, d, g, r, f: f"2025-01-06 10:00:{i:02},101 INFO: [exp..][epoch:  0, iter:  {100 * i:7,d}, lr:(1.000e-04,)] [eta: 1 day, 3:02:11, time (data): 0.412 (0.003)] l_g_pix: 4.0e-02 l_g_gan: {g:.4e} l_d_real: {r:.4e} out_d_real: 3.2e+00 l_d_fake: {f:.4e} out_d_fake: -3.1e+00"),
    "ESRGAN": each(lambda i, d, g, r, f: f"[Epoch 0/2] [Batch {i}/40] [D loss: {d:f}] [G loss: {g:f}, content: 0.5, adv: 0.1, pixel: 0.01]"),
    "lucidrains": each(lambda i, d, g, r, f: f"  0%|   | {i}/150000 [00:00<9:12:33,  2.2it/s]G: {g:.3f} | D: {d:.3f} | GP: 0.12 | PL: 1.2"),
    "CTGAN": bar(each(lambda i, d, g, r, f: f"Gen. ({g:.3f}) | Discrim. ({d:.3f}):   0%|    | {i}/40 [00:00<01:00,  2.00it/s]")),
    "tqdm": bar(each(lambda i, d, g, r, f: f"Epoch 3:  12%|█▏        | {i}/40 [00:04<00:40,  3.61it/s, loss_D={d:.4g}, loss_G={g:.4g}]")),
    "Lightning's bar": bar(each(lambda i, d, g, r, f: f"Epoch 3:  12%|█▏  | {i}/938 [00:04<00:40, 75.61it/s, v_num=3, g_loss={g:.4f}, d_loss={d:.4f}]")),
    "Lightning's rich bar": bar(each(lambda i, d, g, r, f: f"\x1b[35mEpoch 3/9\x1b[0m ━━━━╸━━━ {i}/938 0:00:12 • 0:00:00 75.1it/s d_loss: {d:.4f} g_loss: {g:.4f}")),
    "Keras' bar": bar(each(lambda i, d, g, r, f: f"{i + 1:3d}/40 [===>......] - ETA: 40s - d_loss: {d:.4f} - g_loss: {g:.4f}")),
    "Keras 3": each(lambda i, d, g, r, f: "\b" * 9 + f"\r\x1b[1m{i + 1}/40\x1b[0m \x1b[32m━━━\x1b[0m\x1b[37m━━\x1b[0m \x1b[1m4s\x1b[0m 13ms/step - d_loss: {d:.4f} - g_loss: {g:.4f}"),
    "fastai 1": "epoch     train_loss  valid_loss  gen_loss  disc_loss  time    \n" + each(lambda i, d, g, r, f: f"{i:<9d} 0.512345    #na#        {g:.6f}  {d:.6f}   00:12   "),
    "fastai 2": "| epoch | train_loss | gen_loss | crit_loss | time |\n|---|---|---|---|---|\n" + each(lambda i, d, g, r, f: f"| {i} | 0.51 | {g:.6f} | {d:.6f} | 00:12 |"),
    "a table of rules": "┃ step ┃ loss_D ┃ loss_G ┃\n┡━━━━━╇━━━━━╇━━━━━┩\n" + each(lambda i, d, g, r, f: f"│ {i} │ {d:.4f} │ {g:.4f} │"),
    "Stable-Baselines' logger": each(lambda i, d, g, r, f: f"--------------------------\n| train/          |        |\n|    disc_loss    | {d:.5f} |\n|    gen_loss     | {g:.5f} |\n|    n_updates    | {i} |"),
    "ignite": each(lambda i, d, g, r, f: f"Epoch [{i // 9}/25][{i % 9}/9]: errD={d:.4f}, errG={g:.4f}, D_x=0.5, D_G_z1=0.4, D_G_z2=0.3"),
    "counters and prose": each(lambda i, d, g, r, f: f"Epoch {i // 9} Batch {i} of 40 took 1.25 s, D loss is {d:.4f}, G loss is {g:.4f}"),
    "counters before the name": each(lambda i, d, g, r, f: f"epoch {i // 9} iteration {i} critic_loss: {d:.4f} generator_loss: {g:.4f}"),
    "counters glued with words": each(lambda i, d, g, r, f: f"Iter-{1000 * i}; D_loss: {d:.4}; G_loss: {g:.4}"),
    "average meters": each(lambda i, d, g, r, f: f"Epoch: [0][{i}/40]\tTime 0.31 (0.30)\tLoss_D {d:.4f} ({d + 1:.4f})\tLoss_G {g:.4f} ({g + 1:.4f})"),
    "average meters, words": each(lambda i, d, g, r, f: f"Loss_D: {d:.4f} (avg: {d + 1:.4f}) Loss_G: {g:.4f} (avg: {g + 1:.4f})"),
    "players as labels": each(lambda i, d, g, r, f: f"iter {i} | Discriminator: loss={d:.4f} acc=0.50 | Generator: loss={g:.4f}"),
    "players before brackets": each(lambda i, d, g, r, f: f"{i}: D [loss: {d:.4f}, acc: 50.00%] G [loss: {g:.4f}]"),
    "players in brackets": each(lambda i, d, g, r, f: f"step {i} loss(D): {d:.4f} loss(G): {g:.4f}"),
    "halves after a label": each(lambda i, d, g, r, f: f"{i} D: real {r:.4f} fake {f:.4f} | G: {g:.4f}"),
    "halves without a player": each(lambda i, d, g, r, f: f"[{i}] real_loss: {r:.4f} fake_loss: {f:.4f} gen_loss: {g:.4f}"),
    "thousands": each(lambda i, d, g, r, f: f"step 1,{i:03d}: errD {d:.4f} errG {g:.4f}"),
    "scientific": each(lambda i, d, g, r, f: f"lossD={d:.5e} lossG={g:.5E} lr=2e-4"),
    "level prefixes": each(lambda i, d, g, r, f: f"2025-01-06 10:00:00,{i:03d} - root - {'INFO' if i % 2 else 'WARNING'} - d_loss: {d:.4f}, g_loss: {g:.4f}"),
    "absl": each(lambda i, d, g, r, f: f"I0106 10:00:00.{i:06d} 140 train.py:88] step {i}, d_loss {d:.5f}, g_loss {g:.5f}"),
    "key=value": each(lambda i, d, g, r, f: f"time=2025-01-06T10:00:00Z level=info step={i} d_loss={d:.5f} g_loss={g:.5f} fid=None"),
    "MUNIT": each(lambda i, d, g, r, f: f"Iteration: {i:08d}/01000000 loss_dis_total: {d:.4f} loss_gen_total: {g:.4f}"),
    "StarGAN": each(lambda i, d, g, r, f: f"Elapsed [0:00:{i:02}], Iteration [{i}/200000], D/loss_real: {r:.4f}, D/loss_fake: {f:.4f}, D/loss_cls: 2.1, D/loss_gp: 0.01, G/loss_fake: {g:.4f}, G/loss_rec: 0.4, G/loss_cls: 2.0"),
    "StarGAN 2": each(lambda i, d, g, r, f: f"Elapsed time [0:00:01], Iteration [{i}/100000], D/latent_real: [{r:.4f}] D/latent_fake: [{f:.4f}] D/latent_reg: [0.01] G/latent_adv: [{g:.4f}] G/latent_sty: [0.1]"),
    "HiFi-GAN's own": each(lambda i, d, g, r, f: f"Steps : {i}, Disc Loss Total : {d:.4f}, Gen Loss Total : {g:.4f}, Mel-Spec. Error : 0.9, s/b : 0.412"),
    "Coqui": each(lambda i, d, g, r, f: f"   --> STEP: {i}/352 -- GLOBAL_STEP: {25 * i}\n     | > loss_disc: {d:.5f}  ({d + 1:.5f})\n     | > grad_norm_0: 3.1\n     | > loss_gen: {g:.5f}  ({g + 1:.5f})\n     | > loss_kl: 1.2\n     | > current_lr_0: 0.0002 "),
    "ESPnet": each(lambda i, d, g, r, f: f"[gpu0] 2025-01-06 10:00:00,447 (gan_trainer:328) INFO: 12epoch:train:{50 * i + 1}-{50 * i + 50}batch: iter_time=6.9e-05, discriminator_forward_time=0.5, discriminator_loss={d:.3f}, discriminator_real_loss={r:.3f}, discriminator_fake_loss={f:.3f}, optim1_lr0=1.8e-04, generator_loss=36.2, generator_adv_loss={g:.3f}"),
    "decimal commas": each(lambda i, d, g, r, f: f"Schritt {i}: Loss_D: {d:.4f} Loss_G: {g:.4f}".replace(".", ",")),
    "blocks": each(lambda i, d, g, r, f: f"---- step {i} ----\nD loss: {d:.4f}\nG loss: {g:.4f}\nlr: 0.0002\n"),
    "Python's dicts": each(lambda i, d, g, r, f: str({"step": i, "d_loss": float(d), "g_loss": float(g), "mode": "train"})),
    "dicts in a line": each(lambda i, d, g, r, f: f"[{i}] metrics: {{'loss/D': {d:.4f}, 'loss/G': {g:.4f}, 'time': 0.1}}"),
    "nested dicts": each(lambda i, d, g, r, f: str({"D": {"loss": float(d), "acc": 0.5}, "G": {"loss": float(g)}})),
    "dicts of tensors": each(lambda i, d, g, r, f: f"{{'d_loss': tensor({d:.4f}, device='cuda:0'), 'g_loss': array({g:.4f}, dtype=float32), 'x': nan}}"),
    "JSON in a line": each(lambda i, d, g, r, f: f"INFO:train:{json.dumps({'d_loss': d, 'g_loss': g})}"),
    "no blanks": each(lambda i, d, g, r, f: f"d_loss:{d:.4f},g_loss:{g:.4f},step:{i}"),
    "Windows line ends": each(lambda i, d, g, r, f: f"loss_D: {d:.4f} loss_G: {g:.4f}\r"),
}  # fmt: skip


WRITTEN = {
    "a comment before the names": "# my run\n# seed 3, lr 0.1\nstep,loss_D,loss_G\n" + each(lambda i, d, g, r, f: f"{i},{d},{g}"),
    "NumPy's savetxt": "# loss_D loss_G\n" + each(lambda i, d, g, r, f: f"{d:.18e} {g:.18e}"),
    "pandas": ",d_loss,g_loss\n" + each(lambda i, d, g, r, f: f"{i},{d},{g}"),
    "pandas, printed": "      d_loss    g_loss\n" + each(lambda i, d, g, r, f: f"{i:<5d} {d:f}  {g:f}"),
    "blanks behind commas": "step, loss_D, loss_G\n" + each(lambda i, d, g, r, f: f"{i}, {d}, {g}"),
    "quotes": '"step","loss_D","loss_G","note"\n' + each(lambda i, d, g, r, f: f'"{i}","{d}","{g}","a, b"'),
    "tabs": "errD\terrG\n" + each(lambda i, d, g, r, f: f"{d}\t{g}"),
    "decimal commas": "Schritt;Verlust;loss_D;loss_G\n" + each(lambda i, d, g, r, f: f"{i};3;{d:.5f};{g:.5f}".replace(".", ",")),
    "decimal commas in quotes": "step,loss_D,loss_G\n" + each(lambda i, d, g, r, f: f'{i},"{d:.5f}","{g:.5f}"'.replace(".", ",")),
    "slashes": "Discriminator error / Generator error\n" + each(lambda i, d, g, r, f: f"{d:f} / {g:f}"),
    "Lightning": "d_loss,epoch,g_loss,step,val_d_loss\r\n" + each(lambda i, d, g, r, f: f"{d},0,,{2 * i},\r\n,0,{g},{2 * i + 1},\r\n,0,,{2 * i + 1},9.0\r"),
    "Lightning, epochs beside steps": "d_loss_epoch,d_loss_step,g_loss_epoch,g_loss_step,step\n" + each(lambda i, d, g, r, f: f",{d},,{g},{i}" + ("\n5,,5,,0" if i % 10 == 9 else "")),
    "W&B": '"Step","lr-gp-test-7 - d_loss","lr-gp-test-7 - d_loss__MIN","lr-gp-test-7 - d_loss__MAX","lr-gp-test-7 - g_loss"\n' + each(lambda i, d, g, r, f: f'"{50 * i}","{d}","0","9","{g}"'),
    "W&B history": "_runtime,_step,_timestamp,Discriminator Loss,Generator Loss\n" + each(lambda i, d, g, r, f: f"{i},{i},{1.7e9 + i},{d},{g}"),
    "a header twice": "step,loss_D,loss_G\n" + "".join(f"{i},{d},{g}\n" + ("step,loss_D,loss_G\n" if i == 20 else "") for i, d, g, *_ in ROWS),
    "other columns after a resume": "step,loss_D,loss_G\n" + "".join(f"{i},{d},{g}\n" if i < 20 else f"{i},{g},0.1,{d}\n" if i > 20 else f"step,loss_G,lr,loss_D\n{i},{g},0.1,{d}\n" for i, d, g, *_ in ROWS),
    "JSON lines, nested": each(lambda i, d, g, r, f: json.dumps({"step": i, "train": {"disc": {"loss": d}, "gen": {"loss": g}}})),
    "StyleGAN 3": each(lambda i, d, g, r, f: json.dumps({"Loss/G/loss": {"num": 4096, "mean": g, "std": 0.3}, "Loss/D/loss": {"num": 4096, "mean": d, "std": 0.4}, "Loss/r1_penalty": {"num": 9, "mean": 0.1, "std": 0.1}, "Progress/tick": {"num": 1, "mean": i, "std": 0}})),
    "MMGeneration": '{"env_info": "x", "seed": 1}\n' + each(lambda i, d, g, r, f: json.dumps({"mode": "train", "iter": 100 * i, "loss_disc_fake": f, "loss_disc_real": r, "loss_disc_fake_g": g, "loss": 9.0}) + ("\n" + json.dumps({"mode": "val", "iter": 1, "loss_disc_fake": 9.0, "loss_disc_real": 9.0}) if i % 9 == 8 else "")),
    "Chainer": json.dumps([{"gen/loss": g, "dis/loss": d, "iteration": i} for i, d, g, *_ in ROWS], indent=4),
    "Keras' history": json.dumps({"d_loss": list(D), "g_loss": list(G), "val_d_loss": [9.0] * N}),
    "Keras' history, wrapped": json.dumps({"history": {"d_loss": list(D), "g_loss": list(G)}, "params": {"epochs": N}, "epoch": list(range(N))}),
    "Keras' history, printed": str({"d_loss": [float(x) for x in D], "g_loss": [float(x) for x in G]}),
    "Hugging Face's state": json.dumps({"epoch": 3, "log_history": [{"d_loss": d, "g_loss": g, "step": i} for i, d, g, *_ in ROWS]}),
    "a dict by step": json.dumps({i: {"loss_D": d, "loss_G": g} for i, d, g, *_ in ROWS}),
    "a dict of dicts of lists": json.dumps({"discriminator": {"loss": list(D)}, "generator": {"loss": list(G)}}),
    "pairs of step and value": json.dumps({"d_loss": [[i, d] for i, d, *_ in ROWS], "g_loss": [[i, g] for i, _, g, *_ in ROWS]}),
    "documents behind each other": "".join(json.dumps({"loss_d": d, "loss_g": g}, indent=2) for _, d, g, *_ in ROWS),
    "numbers as text": each(lambda i, d, g, r, f: json.dumps({"d_loss": f"{d:.5f}", "g_loss": f"{g:.5f}"})),
    "a log that is being written": each(lambda i, d, g, r, f: json.dumps({"d_loss": d, "g_loss": g})) + '{"d_loss": 0.',
    "UTF-16 of PowerShell": each(lambda i, d, g, r, f: f"Loss_D: {d:.4f} Loss_G: {g:.4f}"),
}  # fmt: skip


def same(log, d=D, g=G):
    assert log.d == pytest.approx(d, abs=1e-3) and log.g == pytest.approx(g, abs=1e-3)
    assert (np.diff(log.update) > 0).all() and np.isfinite(log.update).all()


@pytest.mark.parametrize("name", PRINTED)
def test_what_scripts_print_is_read(name, tmp_path):
    (tmp_path / "train.log").write_text(PRINTED[name], newline="")
    (log,) = read_losses(tmp_path / "train.log")
    same(log)


@pytest.mark.parametrize("name", WRITTEN)
def test_what_scripts_write_is_read(name, tmp_path):
    encoding = "utf-16" if "UTF-16" in name else "utf-8"
    (tmp_path / "log").write_text(WRITTEN[name], newline="", encoding=encoding)
    (log,) = read_losses(tmp_path / "log")
    same(log)


# -- which columns


def read(tmp_path, text: str, *columns):
    (tmp_path / "log").write_text(text)
    return read_losses(tmp_path / "log", *columns)


def test_each_discriminator_is_read_with_its_own_generator(tmp_path):
    a, b = read(
        tmp_path,
        each(
            lambda i, d, g, r, f: (
                f"(epoch: 1, iters: {i}, time: 0.3) D_A: {d:.4f} G_A: {g:.4f} cycle_A: 1.6 D_B: 0.24 G_B: 0.28 idt_B: 0.5"
            )
        ),
    )
    same(a)
    assert (a.d_column, a.g_column, b.d_column, b.g_column) == ("D_A", "G_A", "D_B", "G_B") and set(b.d) == {0.24}


def test_discriminators_that_are_counted_are_told_apart(tmp_path):
    a, b = read(
        tmp_path, each(lambda i, d, g, r, f: f"step {i} | loss D 1: {d:.4f} | loss D 2: 0.24 | loss G: {g:.4f}")
    )
    same(a)
    assert (a.which, b.which) == ("1", "2") and set(b.d) == {0.24}


def test_a_whole_that_is_the_sum_of_two_discriminators_is_left_for_them(tmp_path):
    logs = read(
        tmp_path,
        each(
            lambda i, d, g, r, f: json.dumps(
                {"loss_disc_mpd": d, "loss_disc_msd": 0.5, "loss_disc_all": d + 0.5, "loss_gen": g}
            )
        ),
    )
    assert [log.which for log in logs] == ["mpd", "msd"]
    same(logs[0])
    (log,) = read(
        tmp_path,
        each(lambda i, d, g, r, f: json.dumps({"d_loss_cut": 3.0, "d_loss_mix": 0.5, "d_loss": d, "g_loss": g})),
    )
    same(log)  # the others are something else


def test_runs_in_one_panel_are_told_apart(tmp_path):
    text = "Step,r1 - d_loss,r1 - g_loss,r2 - d_loss,r2 - g_loss\n" + each(
        lambda i, d, g, r, f: f"{i},1.38,0.69,{d},{g}"
    )
    other, log = read(tmp_path, text)
    assert (other.which, log.which) == ("r1", "r2")
    same(log)


def test_columns_may_be_named_summed_and_nested(tmp_path):
    text = each(
        lambda i, d, g, r, f: json.dumps(
            {"x": {"real": r, "fake": f}, "Loss/D/loss": {"mean": d}, "y z": g, "d_loss": 9}
        )
    )
    for d in (["x.real", "x.fake"], ["x.real+x.fake"], ["x.real, x.fake"], ["Loss/D/loss.mean"], ["loss_d_loss_mean"]):
        (log,) = read(tmp_path, text, d, ["Y Z"])
        same(log)
    with pytest.raises(ValueError, match=r"has no column 'nope'; it has 'x.real', 'x.fake'"):
        read(tmp_path, text, ["nope"], ["y z"])


def test_a_column_may_be_named_by_its_last_words_in_any_alphabet(tmp_path):
    text = each(lambda i, d, g, r, f: f"第{i}轮 判别器损失: {d:.4f} 生成器损失: {g:.4f}")
    with pytest.raises(ValueError, match="no column is named .* it has '生成器损失', '第 轮 判别器损失'"):
        read(tmp_path, text)
    (log,) = read(tmp_path, text, ["判别器损失"], ["生成器损失"])
    same(log)
    with pytest.raises(ValueError, match="has no column 'loss'"):  # two end so
        read(tmp_path, each(lambda i, d, g, r, f: f"a loss: {d:.4f} b loss: {g:.4f}"), ["loss"], ["b loss"])


def test_named_columns_are_found_in_lines_whose_names_mean_nothing(tmp_path):
    (log,) = read(tmp_path, each(lambda i, d, g, r, f: f"{i}: alpha {d:.4f} beta {g:.4f}"), ["alpha"], ["beta"])
    same(log)
    bare = each(lambda i, d, g, r, f: f"{d:.4f} {g:.4f}")
    (log,) = read(tmp_path, bare, ["1"], ["2"])
    same(log)
    with pytest.raises(ValueError, match="2 columns of numbers without names; .* --d-column 1"):
        read(tmp_path, bare)


def test_columns_that_differ_in_a_counter_alone_are_one(tmp_path):
    for text in (
        each(lambda i, d, g, r, f: json.dumps({f"epoch_{i}/d_loss": d, f"epoch_{i}/g_loss": g})),
        each(lambda i, d, g, r, f: f"Epoch{i}_d_loss: {d:.4f} Epoch{i}_g_loss: {g:.4f}"),
    ):
        (log,) = read(tmp_path, text)
        same(log)


def test_a_value_stands_in_for_rows_near_by_alone(tmp_path):
    stale = "d_loss: 1.3\n" + each(lambda i, d, g, r, f: f"g_loss: {g:.4f}")
    with pytest.raises(ValueError, match="holds 1 rows with both losses"):
        read(tmp_path, stale)
    critic = "".join("".join(f"D: {d + k / 10:.4f}\n" for k in range(5)) + f"G: {g:.4f}\n" for _, d, g, *_ in ROWS)
    (log,) = read(tmp_path, critic)
    assert len(log.d) == 5 * N - 4 and log.g[0] == pytest.approx(G[0], abs=1e-3)  # nothing stood in before G's first
    assert any("'G' stands in 40 of 200 rows" in note for note in log.notes)


def test_sparse_columns_are_left_for_full_ones_of_the_same_player(tmp_path):
    text = "D: 12 layers\nG: 15 layers\nn_critic: 5\n" + each(
        lambda i, d, g, r, f: (
            f"errD {d:.4f} errG {g:.4f}" + ("\nsummary: avg loss_D: 5.0 avg loss_G: 5.0" if i % 10 == 9 else "")
        )
    )
    (log,) = read(tmp_path, text)
    same(log)


def test_lines_about_held_out_data_are_no_training(tmp_path):
    text = each(
        lambda i, d, g, r, f: (
            f"Train epoch {i}: d_loss {d:.4f} g_loss {g:.4f}\n[eval] epoch {i}: d_loss 0.9 g_loss 0.9 FID {90 - i}"
        )
    )
    (log,) = read(tmp_path, text)
    same(log)
    assert [q.measure.name for q in log.quality] == ["FID"] and log.quality[0].values[-1] == 90 - N + 1


def test_halves_beside_the_whole_show_whether_it_is_their_sum_or_mean(tmp_path):
    for factor, expected in ((1.0, "sum"), (0.5, "mean"), (0.7, "")):
        (log,) = read(
            tmp_path,
            each(
                lambda i, d, g, r, f, k=factor: json.dumps(
                    {"d_loss": k * d, "d_loss_real": r, "d_loss_fake": f, "g_loss": g}
                )
            ),
        )
        assert log.d_is == expected and log.d_column == "d_loss"


def test_files_of_one_scalar_are_joined_by_step(tmp_path):
    d, g = tmp_path / "run-a-tag-Loss_D.csv", tmp_path / "run-a-tag-Loss_G.csv"
    d.write_text("Wall time,Step,Value\r\n" + each(lambda i, d, g, r, f: f"{1.7e9 + i},{50 * i},{d}\r"), newline="")
    g.write_text("Wall time,Step,Value\r\n" + each(lambda i, d, g, r, f: f"{1.7e9 + i},{50 * i},{g}\r"), newline="")
    (log,) = read_losses([d, g])
    same(log)
    assert log.update[-1] == 50 * (N - 1) and (log.d_column, log.g_column) == ("Loss_D", "Loss_G")
    with pytest.raises(ValueError, match="holds one scalar, .* gan-env diagnose D.csv G.csv"):
        read_losses(d)
    (tmp_path / "d_loss").write_text(each(lambda i, d, g, r, f: f"{1700000000000 + i} {d} {i}"))  # MLflow's
    (tmp_path / "g_loss").write_text(each(lambda i, d, g, r, f: f"{1700000000000 + i} {g} {i}"))
    same(read_losses([tmp_path / "d_loss", tmp_path / "g_loss"])[0])
    files = [tmp_path / f"BigGAN_Glr1e-4_Dlr4e-4_{name}.log" for name in ("G_loss", "D_loss_real", "D_loss_fake")]
    for file, values in zip(files, (G, REAL, FAKE), strict=True):
        file.write_text("".join(f"{100 * i}: {value:.5f}\n" for i, value in enumerate(values)))
    (log,) = read_losses(files)
    same(log)
    assert (log.d_column, log.update[-1]) == ("D_loss_real + D_loss_fake", 100 * (N - 1))


def test_a_table_with_a_row_for_each_number_is_read(tmp_path):
    (log,) = read(tmp_path, "step,tag,value\n" + each(lambda i, d, g, r, f: f"{i},Loss/D,{d}\n{i},Loss/G,{g}"))
    same(log)


def test_what_was_decided_on_the_way_is_said(tmp_path):
    (log,) = read(tmp_path, PRINTED["Machine Learning Mastery"])
    assert log.d_is == "sum" and "name one: --d-column" in log.notes[0]
    (log,) = read(tmp_path, PRINTED["Keras-GAN, lists"])
    assert log.notes == ("'D loss' holds lists; their first number was read",)
    for percents in (
        each(lambda i, d, g, r, f: f"{i} d_loss: {100 * d:.3f}% g_loss: {g:.4f} acc: 97%"),
        "d_loss,g_loss\n" + each(lambda i, d, g, r, f: f"{100 * d:.3f} %,{g:.4f}"),
    ):
        (log,) = read(tmp_path, percents)
        same(log)
        assert log.notes == ("'d_loss' is in per cent; a hundredth of it was read",)
    (log,) = read(tmp_path, json.dumps({"d_loss": list(np.repeat(D, 2)), "g_loss": list(G)}))
    assert any("'g_loss' is shorter" in note for note in log.notes)


# -- what is no log


def refused(capsys, *arguments) -> str:
    began = time.monotonic()
    assert main(["diagnose", *map(str, arguments)]) == 2
    assert time.monotonic() - began < 5  # a second, on a machine that does nothing else
    said, complaint = capsys.readouterr()
    assert not said and complaint.count("\n") == 1 and complaint[:-1].isprintable()
    return complaint


def test_what_is_no_text_file_is_refused_on_one_line(tmp_path, capsys):
    log = tmp_path / "a\x1b[31mb"
    log.write_bytes(np.random.default_rng(0).bytes(100_000))
    assert "is no text" in refused(capsys, log)
    log.write_bytes(b"")
    assert "is empty" in refused(capsys, log)
    with log.open("wb") as file:
        file.truncate(100 * 2**20)
    assert "100 MB, and 16 MB are the most" in refused(capsys, log)
    os.mkfifo(tmp_path / "fifo")
    assert "is no regular file" in refused(capsys, tmp_path / "fifo")
    assert "is no regular file" in refused(capsys, "/dev/zero")
    assert "is a folder" in refused(capsys, tmp_path)
    events = tmp_path / "events.out.tfevents.1700000000.host.1.0"
    events.write_bytes(b"\x18\0\0\0\0\0\0\0brain.Event:2")
    assert "save both losses as CSV" in refused(capsys, events)
    assert "save both losses as CSV" in refused(capsys, tmp_path)
    assert "name the log first" in refused(capsys, "--d-column", "a", "b")
    with open("/dev/zero", encoding="latin-1") as endless, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", endless)
        assert "is no text" in refused(capsys, "-")


@pytest.mark.parametrize(
    "text", ['{"a":' * 300_000, '{"a":[\n' * 200_000, "'{" * 500_000, "tensor(" * 200_000, "1," * 700_000, "|" * 1_000_000,
             "\x1b[" * 500_000, "x: " * 300_000, "a " * 700_000, "9" * 1_000_000 + "\n1,2", "[[" * 400_000,
             "a at 1 " * 200_000, "a (" * 400_000, "a step 1" * 100_000, "a" * 1_000_000, "1,1" * 300_000]
)  # fmt: skip
def test_texts_that_are_made_to_cost_time_do_not(text, tmp_path, capsys):
    (tmp_path / "log").write_text(text)
    refused(capsys, tmp_path / "log")


def test_control_characters_of_a_log_are_not_printed(tmp_path, capsys):
    (tmp_path / "log").write_text(
        "\x07d_loss\x1b]0;evil\x07,\x9b31mg_loss,FI\x1b[31mD\n" + each(lambda i, d, g, r, f: f"{d},{g},{i}")
    )
    for more in ([], ["--json"], ["--d-column", "no\x1b[31mpe"]):
        code = main(["diagnose", str(tmp_path / "log"), *more])
        said = "".join(capsys.readouterr())
        assert code == (2 if "--d-column" in more else 0) and said.replace("\n", "").isprintable()


def test_what_follows_a_name_of_both_players_belongs_to_neither(tmp_path):
    lines = (
        f"[{i}/25] D(G(z))=0.5 errD {d:.3f} (real {d / 2:.3f} fake {d / 2:.3f}) errG {g:.3f}" for i, d, g, *_ in ROWS
    )
    (tmp_path / "log.txt").write_text("\n".join(lines))
    (log,) = read_losses(tmp_path / "log.txt")
    assert [round(g, 3) for g in log.g.tolist()] == [round(g, 3) for _, _, g, *_ in ROWS]
