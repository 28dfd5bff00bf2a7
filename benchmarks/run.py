"""The package's claims about speed, measured on this machine:
`python -m benchmarks.run [short|full] [path of fasterai] [claim ...]`.

Every claim is a ratio.
Its arms run in turns in one process on one thread, in an order drawn anew in each round.
A ratio is taken within a round; the median over rounds with the quartiles is appended to benchmarks/results/speed.csv,
together with the bar, the versions and the load of the machine.
Time is this process's CPU time, so that whatever else runs does not count; what starts processes is timed by the clock.
A missed bar is written as missed. A short run prints and records nothing."""
import os, statistics, subprocess, sys, tempfile, time, warnings
from dataclasses import dataclass
from pathlib import Path
from benchmarks.rows import append_row, here, in_words, is_met, quiet, ratio, rounds_of
os.environ.setdefault('OMP_NUM_THREADS', '1')

root = Path(__file__).resolve().parent.parent
out  = root/'benchmarks'/'results'/'speed.csv'
head = '''date claim op bar median q1 q3 met rounds arm reference seconds seconds_of_reference clock note load threads
    device torch fastai fastai_tricks python machine'''.split()

@dataclass
class Run:
    "What was asked for on the command line"
    short:bool=False # Few rounds on little data, nothing is recorded
    where:str=None # Folder of fasterai

run = Run()

def write(claim, op, bar, rounds, a, b, note='', clock='cpu'):
    "Print and append the ratio `a`/`b` over `rounds`; `op` and `bar` are '' where a figure is only reported"
    q1,median,q3 = ratio(rounds, a, b)
    seconds,of_reference = (statistics.median(o[k] for o in rounds) for k in (a, b))
    row = dict(
        claim=claim,
        op=op,
        bar=bar,
        median=f'{median:.4f}',
        q1=f'{q1:.4f}',
        q3=f'{q3:.4f}',
        met=is_met(median, op, bar) if op else '',
        rounds=len(rounds),
        arm=a,
        reference=b,
        seconds=f'{seconds:.5f}',
        seconds_of_reference=f'{of_reference:.5f}',
        clock=clock,
        note=note,
        load=f'{os.getloadavg()[0]:.2f}',
        **here(),
    )
    if not run.short: append_row(out, row, head)
    print(in_words(claim, (q1, median, q3), op, bar), flush=True)

# --- the optimizer's step ---

def step(n):
    "A step of `nag` and `adamw` against fastai's Adam, on the parameters of a ResNet-50"
    import torch, torchvision
    from fastai.optimizer import Adam, SGD
    from fastai_tricks.train.optim import adamw, nag
    def arm(opt):
        m = torchvision.models.resnet50()
        for o in m.parameters(): o.grad = torch.randn_like(o)*1e-3
        opt = opt(list(m.parameters()), lr=1e-4)
        return opt.step
    rows = rounds_of({"fastai's Adam": arm(Adam), 'nag': arm(nag), 'adamw': arm(adamw)}, n)
    for o in ('nag','adamw'): write(f"fastai's Adam step / {o} step, ResNet-50", '>=', 3., rows, "fastai's Adam", o)

# --- the full bag against a bare loop ---

def bare_loop(batches, lr=1e-3, alpha=.2, eps=.1, n_classes=10):
    "A function that trains an xresnet50 on `batches` with the mathematics of the bag, in plain torch"
    import numpy as np, torch
    from torch.nn.functional import cross_entropy
    from fastai.vision.models.xresnet import xresnet50
    from fastai_tricks.all import no_decay_names, warmup_cos
    torch.manual_seed(0)
    model = xresnet50(n_out=n_classes)
    spared = no_decay_names(model)
    decayed,others = ([p for name,p in model.named_parameters() if (name in spared)==o] for o in (False, True))
    groups = [dict(params=decayed, weight_decay=1e-4), dict(params=others, weight_decay=0.)]
    opt = torch.optim.SGD(groups, lr=.1, momentum=.9, nesterov=True, fused=True)
    rng,n = np.random.default_rng(0),len(batches)
    def smooth(pred, y): return cross_entropy(pred, y, label_smoothing=eps*n_classes/(n_classes-1))
    def train():
        model.train()
        for i,(xb,yb) in enumerate(batches):
            for g in opt.param_groups: g['lr'] = lr*warmup_cos(i, n, n//2)
            lam,perm = float(rng.beta(alpha, alpha)),torch.randperm(len(xb))
            lam = max(lam, 1-lam)
            pred = model(torch.lerp(xb[perm], xb, lam))
            loss = lam*smooth(pred, yb) + (1-lam)*smooth(pred, yb[perm])
            loss.backward()
            opt.step()
            opt.zero_grad()
            loss.item()
    return train

def batches_of(bs, k):
    "A loader of `k` slices of tensors; nothing is loaded"
    import torch
    x,y = torch.randn(bs*k, 3, 32, 32),torch.randint(0, 10, (bs*k,))
    class Batches:
        device = torch.device('cpu')
        dataset = range(bs*k)
        def __len__(self): return k
        def __iter__(self): return ((x[i:i+bs], y[i:i+bs]) for i in range(0, bs*k, bs))
    res = Batches()
    res.bs = bs
    return res

def without_validation(learn):
    "The Learner, which only trains"
    learn._do_epoch_validate = lambda *args, **kwargs: None
    return learn

def full_bag(n):
    """Learner with schedule, smoothing, MixUp, no decay of biases, nag,
    against a torch loop of the same mathematics: xresnet50, 32 px"""
    import torch
    from torch import nn
    from fastai.vision.all import DataLoaders, Learner
    from fastai.vision.models.xresnet import xresnet50
    from fastai_tricks.all import LabelSmoothing, MixUp, NoBiasDecay, nag
    for bs,k in ((8,6), (64,2)):
        batches = batches_of(bs, k)
        torch.manual_seed(0)
        dls,cbs = DataLoaders(batches, []),[LabelSmoothing(.1), MixUp(.2), NoBiasDecay()]
        learn = Learner(dls, xresnet50(n_out=10), loss_func=nn.CrossEntropyLoss(), opt_func=nag, cbs=cbs)
        learn = without_validation(quiet(learn))
        def ours(): learn.fit_warmup_cos(1, 1e-3, warmup_epochs=.5)
        rows = rounds_of({'Learner with the bag':ours, 'bare loop':bare_loop(batches)}, n)
        write(f'full bag / bare loop, xresnet50, 32 px, bs {bs}', '<=', 1.05, rows, 'Learner with the bag', 'bare loop',
              note=f'{k} batches a round')

# --- an epoch, files and Adam, memory and nag, tensors ---

def small_net(blocks=(2,2,2,2), **kwargs):
    "A ResNet at half width"
    from fastai.vision.models.xresnet import ResBlock, XResNet
    return XResNet(ResBlock, 1, list(blocks), n_out=10, widen=.5, **kwargs)

def write_images(folder, n):
    "Write `n` embedded images of 32 px to train on, and ten to validate, by class"
    from fastai.vision.all import Image
    from fastai_tricks.all import tiny_arrays
    from fastai_tricks.data.samples import classes
    a = tiny_arrays()
    for part,m in (('train',n), ('valid',10)):
        for i in range(m):
            c = folder/part/classes[a[f'{part}_y'][i]]
            c.mkdir(parents=True, exist_ok=True)
            Image.fromarray(a[f'{part}_x'][i]).convert('RGB').resize((32,32)).save(c/f'{i}.png')

def file_dls(folder, bs):
    "The images as fastai reads them, from files"
    from fastai.vision.all import (CategoryBlock, DataBlock, GrandparentSplitter, ImageBlock, Normalize, Resize,
                                   ResizeMethod, get_image_files, imagenet_stats, parent_label)
    block = DataBlock(
        (ImageBlock, CategoryBlock),
        get_items=get_image_files,
        get_y=parent_label,
        splitter=GrandparentSplitter(),
        item_tfms=Resize(32, method=ResizeMethod.Squish),
        batch_tfms=Normalize.from_stats(*imagenet_stats),
    )
    return block.dataloaders(folder, bs=bs, num_workers=0)

def bare_epoch(dls, bs):
    "A function that trains on the tensors that `dls` holds, in plain torch"
    import torch
    from fastai.vision.all import imagenet_stats
    mean,std = (torch.tensor(o)[:,None,None] for o in imagenet_stats)
    x,y = (o.as_subclass(torch.Tensor) for o in dls.train.mem[:2])
    x,model = (x.float()/255-mean)/std,small_net()
    opt = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=.9, nesterov=True, weight_decay=1e-4, fused=True)
    def train():
        model.train()
        order = torch.randperm(len(x))
        for i in range(0, len(x)-bs+1, bs):
            loss = torch.nn.functional.cross_entropy(model(x[order[i:i+bs]]), y[order[i:i+bs]])
            loss.backward()
            opt.step()
            opt.zero_grad()
            loss.item()
    return train

def epoch_arms(folder, bs):
    "Name to a function that trains one epoch on the images in `folder`"
    from torch import nn
    from fastai.callback.channelslast import ChannelsLast
    from fastai.vision.all import Adam, Learner
    from fastai_tricks.all import folder_dls, nag
    dls = folder_dls(folder, size=32, bs=bs)
    def learner(dls, opt_func, *cbs):
        learn = Learner(dls, small_net(), loss_func=nn.CrossEntropyLoss(), opt_func=opt_func, cbs=cbs)
        return without_validation(quiet(learn))
    learners = {
        'ours': learner(dls, nag),
        'stock': learner(file_dls(folder, bs), Adam),
        'ours, channels last': learner(dls, nag, ChannelsLast()),
        'ours, channels last, to_amp': learner(dls, nag, ChannelsLast()).to_amp(),
    }
    fits = {name:lambda o=o: o.fit(1, 1e-3) for name,o in learners.items()}
    return {**fits, 'bare':bare_epoch(dls, bs)}

def epoch(n):
    "An epoch of 5,000 images of 32 px, xresnet18 at half width"
    from fastai_tricks.all import best_precision
    n_images = 500 if run.short else 5000
    with tempfile.TemporaryDirectory() as d:
        write_images(Path(d), n_images)
        rows = rounds_of(epoch_arms(Path(d), bs=64), n, warm=1 if run.short else 0)
    note = f'{n_images} pictures' # so say the rows that are there
    write('epoch of ours / stock fastai from files with Adam, xresnet18 half width, 32 px', '<=', .6, rows,
          'ours', 'stock', note)
    write('epoch of ours / bare loop on tensors', '<=', 1.15, rows, 'ours', 'bare', note)
    write('epoch of ours with ChannelsLast / stock', '', '', rows, 'ours, channels last', 'stock', note)
    write('epoch of ours with ChannelsLast and to_amp / stock', '', '', rows, 'ours, channels last, to_amp', 'stock',
          f'{note}; {best_precision("cpu")[0]}')

# --- channels last, 16 bits, compiled ---

def choices_for(what, net, size, bs, n):
    "A training step of one network with the one-line choices against a plain one"
    import torch
    from torch import nn
    from fastai.callback.channelslast import ChannelsLast
    from fastai.vision.all import DataLoaders, Learner
    from fastai_tricks.all import nag
    torch.manual_seed(0)
    batch = torch.randn(bs, 3, size, size),torch.randint(0, 10, (bs,))
    def arm(change):
        learn = Learner(DataLoaders([batch]*4, []), net(), loss_func=nn.CrossEntropyLoss(), opt_func=nag)
        learn = without_validation(change(quiet(learn)))
        return lambda: learn.fit(1, 1e-3)
    arms = {
        'plain': arm(lambda o: o),
        'ChannelsLast': arm(lambda o: o.add_cb(ChannelsLast())),
        'to_compiled': arm(lambda o: o.to_compiled()),
        "to_amp('bf16')": arm(lambda o: o.to_amp('bf16')),
        "ChannelsLast, to_amp('bf16')": arm(lambda o: o.add_cb(ChannelsLast()).to_amp('bf16')),
    }
    start = time.perf_counter()
    arms['to_compiled']()
    compiling = f'; its first fit took {time.perf_counter()-start:.0f} s by the clock, compiling'
    rows = rounds_of(arms, n)
    for o in list(arms)[1:]:
        note = '4 batches a round' + (compiling if o=='to_compiled' else '')
        write(f'step with {o} / plain, {what}, {size} px, bs {bs}', '', '', rows, o, 'plain', note=note)

def choices(n):
    "A training step with the one-line choices against a plain one"
    from fastai.vision.models.xresnet import xresnet50
    choices_for('xresnet18 half width', small_net, 32, 64, n)
    choices_for('xresnet50', lambda: xresnet50(n_out=10), 64, 16, n)

# --- distillation ---

def distill(n):
    "A step of distillation against fasterai's callback"
    if not run.where: return print('distillation: no path of fasterai was given, not measured', flush=True)
    from benchmarks import steps
    arms = steps.arms(32, run.where)
    rows = rounds_of({o:arms[o] for o in ('distill','fasterai')}, n, warm=2)
    write("distillation step / fasterai 0.4.1, xresnet50, 32 px", '<=', .7, rows, 'distill', 'fasterai')

# --- MixUp ---

def mixup(n):
    "A batch of 256 x 3 x 64 x 64 through the mixers"
    import torch
    import fastai.callback.mixup as theirs
    import timm.data, torchvision.transforms.v2 as v2
    from torch import nn
    from fastai.vision.all import CrossEntropyLossFlat, DataLoaders, Learner
    from fastai_tricks.target.mixup import MixUp
    x,y = torch.randn(256, 3, 64, 64),torch.randint(0, 10, (256,))
    def arm(cb):
        learn = quiet(Learner(DataLoaders([(x,y)], []), nn.Flatten(), loss_func=CrossEntropyLossFlat(), cbs=cb))
        learn.training,learn.pct_train = True,0.
        learn.dl = learn.dls.train
        if hasattr(cb, 'before_fit'): cb.before_fit()
        if hasattr(cb, 'before_train'): cb.before_train()
        def f():
            learn.xb,learn.yb = (x,),(y,)
            cb.before_batch()
        return f
    tm,tv = timm.data.Mixup(mixup_alpha=.2, num_classes=10),v2.MixUp(alpha=.2, num_classes=10)
    arms = {
        'ours': arm(MixUp(.2)),
        'fastai': arm(theirs.MixUp(.2)),
        'timm': lambda: tm(x.clone(), y),
        'torchvision': lambda: tv(x, y),
    }
    rows = rounds_of(arms, n, warm=3)
    for o in ('fastai','timm','torchvision'):
        note = 'timm mixes in place: it gets a copy' if o=='timm' else ''
        write(f"MixUp batch / {o}'s, 256 x 3 x 64 x 64", '<=', 1., rows, 'ours', o, note=note)

# --- import ---

def imports(n):
    "`fastai_tricks.all` beyond `fastai.vision.all`, in fresh processes"
    code = '''
import time
from fastai.vision.all import *
start = time.perf_counter()
from fastai_tricks.all import *
print(time.perf_counter()-start)'''
    command = [sys.executable, '-W', 'ignore', '-c', code]
    def ours():
        r = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=120)
        return float(r.stdout.split()[-1])
    rows = rounds_of({'ours':ours, 'one second':lambda: 1.}, n, timer=lambda f: f())
    write('import of fastai_tricks.all beyond fastai.vision.all, in seconds', '<=', .3, rows, 'ours', 'one second',
          clock='clock')

# --- time to accuracy ---

def trained(arm, seed, n_epoch, n_images):
    "CPU time and accuracy of a training; training only is timed"
    from fastai.vision.all import Adam, Callback, CrossEntropyLossFlat, Learner, accuracy, set_seed
    from fastai_tricks.all import NoBiasDecay, nag, tiny_dls
    class Clock(Callback):
        spent = 0.
        def before_train(self): self.start = time.process_time()
        def after_train(self): self.spent += time.process_time()-self.start
    opt_func,cbs = (Adam, []) if arm=='stock' else (nag, [NoBiasDecay()])
    set_seed(seed)
    dls = tiny_dls(64, n_train=n_images, n_valid=n_images, seed=seed)
    set_seed(seed)
    net,clock = small_net([1,1,1,1], c_in=1),Clock()
    learn = quiet(Learner(dls, net, CrossEntropyLossFlat(), metrics=accuracy, opt_func=opt_func, cbs=[clock, *cbs]))
    if arm=='stock': learn.fit_one_cycle(n_epoch, 3e-3) # it ends higher than with fastai's default, 1e-3
    else: learn.fit_warmup_cos(n_epoch, .1, warmup_epochs=.5)
    return clock.spent,learn.recorder.values[-1][-1]

def to_accuracy(n):
    """CPU time until the accuracy that stock `fit_one_cycle` with Adam has after 15 epochs:
    embedded data, the same network and seeds"""
    n_epoch,n_images = (3, 500) if run.short else (15, 5000)
    rows,reached,notes = [],0,[]
    for seed in range(n):
        stock,accuracy = trained('stock', seed, n_epoch, n_images)
        ours,our_accuracy = trained('ours', seed, max(1, n_epoch*2//5), n_images)
        if our_accuracy<accuracy: ours = float('inf') # it was not reached
        else: reached += 1
        rows.append(dict(stock=stock, ours=ours))
        notes.append(f'{our_accuracy:.4f} against {accuracy:.4f}')
        print(f'{seed}: {ours:.1f} s against {stock:.1f} s, accuracy {notes[-1]}', flush=True)
    note = f"accuracy {'; '.join(notes)}; {reached} of {n} seeds reached it; stock reads from memory too"
    write('CPU time to the accuracy of 15 epochs of fit_one_cycle with Adam, small ResNet, embedded data',
          '<=', .5, rows, 'ours', 'stock', note=note)

# --- the command ---

claims = dict( # with their rounds in a short run, and in a full one
    step=(step, 5, 31),
    imports=(imports, 2, 9),
    mixup=(mixup, 9, 61),
    full_bag=(full_bag, 3, 7),
    epoch=(epoch, 2, 5),
    choices=(choices, 2, 7),
    distill=(distill, 3, 9),
    to_accuracy=(to_accuracy, 1, 3),
)

def main(*args):
    warnings.simplefilter('ignore')
    import torch
    torch.set_num_threads(1)
    sys.path.insert(0, str(root))
    run.short = 'short' in args
    run.where = next((o for o in args if Path(o).is_dir() and o not in claims), None)
    for name in [o for o in claims if o in args] or list(claims):
        f,few,many = claims[name]
        f(few if run.short else many)

if __name__=='__main__': main(*sys.argv[1:])
