"""tutorial_dcgan.py with a controller that steers it, ten lines added or changed: compare the two scripts."""

import sys

import torch
from torch import nn, optim

from agents import Steer

dataroot = sys.argv[1] if len(sys.argv) > 1 else None
num_epochs, batch_size, image_size = (5, 128, 64) if dataroot else (2, 8, 64)
nz, ngf, ndf, nc = (100, 64, 64, 3) if dataroot else (16, 8, 8, 3)
lr, beta1 = 2e-4, 0.5
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.manual_seed(999)

if dataroot:
    from torchvision import datasets, transforms

    steps = [transforms.Resize(image_size), transforms.CenterCrop(image_size), transforms.ToTensor()]
    to_tensor = transforms.Compose([*steps, transforms.Normalize((0.5,) * 3, (0.5,) * 3)])
    dataset = datasets.ImageFolder(dataroot, transform=to_tensor)
else:
    dataset = torch.utils.data.TensorDataset(torch.rand(32, nc, image_size, image_size) * 2 - 1)
dataloader = torch.utils.data.DataLoader(dataset, batch_size=batch_size, shuffle=True)


def weights_init(m):
    """The DCGAN paper's initialisation."""
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(m.weight, 0.0, 0.02)
    elif isinstance(m, nn.BatchNorm2d):
        nn.init.normal_(m.weight, 1.0, 0.02)
        nn.init.zeros_(m.bias)


def up(inputs, outputs, stride, padding):
    """One block of the generator."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False)
    return layer, nn.BatchNorm2d(outputs), nn.ReLU(True)


def down(inputs, outputs):
    """One block of the discriminator."""
    return nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, True)


netG = nn.Sequential(
    *up(nz, ngf * 8, 1, 0),
    *up(ngf * 8, ngf * 4, 2, 1),
    *up(ngf * 4, ngf * 2, 2, 1),
    *up(ngf * 2, ngf, 2, 1),
    nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False),
    nn.Tanh(),
).to(device)
netD = nn.Sequential(
    nn.Conv2d(nc, ndf, 4, 2, 1, bias=False),
    nn.LeakyReLU(0.2, True),
    *down(ndf, ndf * 2),
    *down(ndf * 2, ndf * 4),
    *down(ndf * 4, ndf * 8),
    nn.Conv2d(ndf * 8, 1, 4, 1, 0, bias=False),
    nn.Sigmoid(),
).to(device)
netG.apply(weights_init)
netD.apply(weights_init)

criterion = nn.BCELoss()
real_label, fake_label = 1.0, 0.0
optimizerD = optim.Adam(netD.parameters(), lr=lr, betas=(beta1, 0.999))
optimizerG = optim.Adam(netG.parameters(), lr=lr, betas=(beta1, 0.999))

steer, decision = Steer("ttur-decay", optimizerG, optimizerD, episode_updates=num_epochs * len(dataloader)), None

for epoch in range(num_epochs):
    for i, data in enumerate(dataloader):
        # (1) Update D: maximise log(D(x)) + log(1 - D(G(z)))
        netD.zero_grad()
        if decision is None or not decision.reuse_real:
            real = data[0].to(device)
        label = torch.full((real.size(0),), real_label, device=device)
        output_real = netD(real).view(-1)
        errD_real = criterion(output_real, label)
        errD_real.backward()
        noise = torch.randn(real.size(0), nz, 1, 1, device=device)
        fake = netG(noise)
        label.fill_(fake_label)
        output_fake = netD(fake.detach()).view(-1)
        errD_fake = criterion(output_fake, label)
        errD_fake.backward()
        errD = errD_real + errD_fake
        decision = steer(output_real.logit(1e-6), output_fake.logit(1e-6), d_loss=errD)
        if decision.update_d:
            optimizerD.step()

        # (2) Update G: maximise log(D(G(z)))
        netG.zero_grad()
        label.fill_(real_label)
        output = netD(fake).view(-1)
        errG = criterion(output, label)
        errG.backward()
        if decision.update_g:
            optimizerG.step()
        steer.done()

        print(f"[{epoch}/{num_epochs}][{i}/{len(dataloader)}] Loss_D: {errD.item():.4f} Loss_G: {errG.item():.4f}")
