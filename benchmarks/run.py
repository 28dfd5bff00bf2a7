"""The package's claims about speed, measured on this machine: `python -m benchmarks.run [short|full] [path of fasterai] [claim ...]`.

Every claim is a ratio. Its arms run in turns in one process on one thread, in an order drawn anew in each round; a ratio is taken within a round, and the median over rounds with the quartiles is
appended to benchmarks/results/speed.csv, together with the bar, the versions and the load of the machine. Time is this process's CPU time, so that whatever else runs does not count; arms that start
processes are timed by the clock. A missed bar is written as missed."""
import csv, os, platform, random, statistics, subprocess, sys, tempfile, time, warnings
from datetime import datetime, timezone
from pathlib import Path
os.environ.setdefault('OMP_NUM_THREADS', '1')

root = Path(__file__).resolve().parent.parent
out  = root/'benchmarks'/'results'/'speed.csv'
head = 'date claim op bar median q1 q3 met rounds arm reference seconds seconds_of_reference clock note load threads device torch fastai fastai_tricks python machine'.split()

def cpu(f):
    t = time.process_time()
    f()
    return time.process_time()-t

def rounds_of(arms, n, timer=cpu, warm=1):
    "`n` rounds of all `arms`, in a new order each: a list of name to seconds"
    rng,res = random.Random(0),[]
    for _ in range(warm):
        for f in arms.values(): f()
    for _ in range(n):
        names = list(arms)
        rng.shuffle(names)
        t = {nm: timer(arms[nm]) for nm in names}
        res.append({nm: t[nm] for nm in arms})
    return res

short_run = False # a short run prints and records nothing

def write(claim, op, bar, rows, a, b, note='', clock='cpu'):
    "Append and print the ratio `a`/`b` over `rows`; `op` and `bar` are '' where a figure is only reported"
    import torch, fastai, fastai_tricks
    rs = [o[a]/o[b] for o in rows]
    q1,med,q3 = statistics.quantiles(rs, n=4, method='inclusive') if len(rs)>1 else rs*3
    met = '' if not op else med<=bar if op=='<=' else med>=bar
    new = not out.exists()
    with open(os.devnull if short_run else out, 'a', newline='') as f:
        w = csv.writer(f)
        if new: w.writerow(head)
        w.writerow([datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M'), claim, op, bar, f'{med:.4f}', f'{q1:.4f}', f'{q3:.4f}', met, len(rows), a, b, *(f'{statistics.median(o[k] for o in rows):.5f}' for k in (a,b)), clock, note,
                    f'{os.getloadavg()[0]:.2f}', torch.get_num_threads(), 'cpu', torch.__version__, fastai.__version__, fastai_tricks.__version__, platform.python_version(), platform.machine()])
    verdict = f"bar {op}{bar}: {'met' if met else 'MISSED'}" if op else 'no bar'
    print(f"{claim}: {med:.3f} ({q1:.3f} to {q3:.3f}), {verdict}", flush=True)

def quiet(learn):
    from fastai.callback.progress import ProgressCallback
    learn.remove_cb(ProgressCallback)
    learn.logger = lambda *a: None
    return learn

# --- the optimizer's step ---

def step(n, **_):
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

def full_bag(n, **_):
    "Learner with schedule, smoothing, MixUp, no decay of biases, nag, against a torch loop of the same mathematics: xresnet50, 32 px"
    import torch, numpy as np
    from torch import nn
    from fastai.vision.all import DataLoader, DataLoaders, Learner, set_seed
    from fastai.vision.models.xresnet import xresnet50
    from fastai_tricks.all import LabelSmoothing, MixUp, NoBiasDecay, nag, no_decay_names, warmup_cos
    for bs,k in ((8,6),(64,2)):
        x,y = torch.randn(bs*k, 3, 32, 32),torch.randint(0, 10, (bs*k,))
        class Batches:
            "Slices of the tensors; nothing is loaded"
            device = torch.device('cpu')
            dataset = range(bs*k)
            def __len__(self): return k
            def __iter__(self): return ((x[i:i+bs],y[i:i+bs]) for i in range(0, bs*k, bs))
        torch.manual_seed(0)
        Batches.bs = bs
        learn = quiet(Learner(DataLoaders(Batches(), []), xresnet50(n_out=10), loss_func=nn.CrossEntropyLoss(), opt_func=nag, cbs=[LabelSmoothing(.1), MixUp(.2), NoBiasDecay()]))
        def ours():
            learn.validate = None
            learn._do_epoch_validate = lambda *a, **kw: None
            learn.fit_warmup_cos(1, 1e-3, warmup_epochs=.5)
        torch.manual_seed(0)
        model = xresnet50(n_out=10)
        spared = no_decay_names(model)
        ps = [[p for nm,p in model.named_parameters() if (nm in spared)==o] for o in (False,True)]
        opt = torch.optim.SGD([dict(params=ps[0], weight_decay=1e-4), dict(params=ps[1], weight_decay=0.)], lr=.1, momentum=.9, nesterov=True, fused=True)
        rng = np.random.default_rng(0)
        def bare():
            model.train()
            for i,(xb,yb) in enumerate(Batches()):
                for g in opt.param_groups: g['lr'] = 1e-3*warmup_cos(i, k, k//2)
                lam,perm = float(rng.beta(.2,.2)),torch.randperm(bs)
                lam = max(lam, 1-lam)
                pred = model(torch.lerp(xb[perm], xb, lam))
                e = .1*10/9
                loss = lam*nn.functional.cross_entropy(pred, yb, label_smoothing=e)+(1-lam)*nn.functional.cross_entropy(pred, yb[perm], label_smoothing=e)
                loss.backward()
                opt.step()
                opt.zero_grad()
                loss.item()
        rows = rounds_of({'Learner with the bag': ours, 'bare loop': bare}, n)
        write(f'full bag / bare loop, xresnet50, 32 px, bs {bs}', '<=', 1.05, rows, 'Learner with the bag', 'bare loop', note=f'{k} batches a round')

# --- an epoch, files and Adam, memory and nag, tensors ---

def epoch(n, short=False, **_):
    "An epoch of 5,000 pictures of 32 px, xresnet18 at half width"
    import torch
    from torch import nn
    from fastai.vision.all import CategoryBlock, DataBlock, ImageBlock, Image, Learner, Normalize, Resize, ResizeMethod, Adam, GrandparentSplitter, get_image_files, parent_label, imagenet_stats
    from fastai.vision.models.xresnet import XResNet, ResBlock
    from fastai.callback.channelslast import ChannelsLast
    from fastai_tricks.all import best_precision, folder_dls, nag, tiny_arrays
    from fastai_tricks.data.samples import classes
    n_pic,bs = (500 if short else 5000),64
    net = lambda: XResNet(ResBlock, 1, [2,2,2,2], n_out=10, widen=.5)
    a = tiny_arrays()
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)
        for part,m in (('train',n_pic),('valid',10)):
            for i in range(m):
                c = d/part/classes[a[f'{part}_y'][i]]
                c.mkdir(parents=True, exist_ok=True)
                Image.fromarray(a[f'{part}_x'][i]).convert('RGB').resize((32,32)).save(c/f'{i}.png')
        block = DataBlock((ImageBlock, CategoryBlock), get_items=get_image_files, get_y=parent_label, splitter=GrandparentSplitter(), item_tfms=Resize(32, method=ResizeMethod.Squish), batch_tfms=Normalize.from_stats(*imagenet_stats))
        stock = quiet(Learner(block.dataloaders(d, bs=bs, num_workers=0), net(), loss_func=nn.CrossEntropyLoss(), opt_func=Adam))
        mem_dls = folder_dls(d, size=32, bs=bs)
        ours  = lambda *cbs: quiet(Learner(mem_dls, net(), loss_func=nn.CrossEntropyLoss(), opt_func=nag, cbs=cbs))
        mine,last,low = ours(),ours(ChannelsLast()),ours(ChannelsLast()).to_amp()
        for o in (stock,mine,last,low): o._do_epoch_validate = lambda *a, **kw: None
        mem = mine.dls.train.mem
        x = (mem[0].as_subclass(torch.Tensor).float()/255-torch.tensor(imagenet_stats[0])[:,None,None])/torch.tensor(imagenet_stats[1])[:,None,None]
        y,model = mem[1].as_subclass(torch.Tensor),net()
        opt = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=.9, nesterov=True, weight_decay=1e-4, fused=True)
        def bare():
            model.train()
            idx = torch.randperm(n_pic)
            for i in range(0, n_pic-bs+1, bs):
                loss = nn.functional.cross_entropy(model(x[idx[i:i+bs]]), y[idx[i:i+bs]])
                loss.backward()
                opt.step()
                opt.zero_grad()
                loss.item()
        rows = rounds_of({'ours': lambda: mine.fit(1, 1e-3), 'stock': lambda: stock.fit(1, 1e-3), 'bare': bare, 'ours, channels last': lambda: last.fit(1, 1e-3), 'ours, channels last, to_amp': lambda: low.fit(1, 1e-3)}, n, warm=0 if not short else 1)
    note = f'{n_pic} pictures'
    write('epoch of ours / stock fastai from files with Adam, xresnet18 half width, 32 px', '<=', .6, rows, 'ours', 'stock', note)
    write('epoch of ours / bare loop on tensors', '<=', 1.15, rows, 'ours', 'bare', note)
    write('epoch of ours with ChannelsLast / stock', '', '', rows, 'ours, channels last', 'stock', note)
    write('epoch of ours with ChannelsLast and to_amp / stock', '', '', rows, 'ours, channels last, to_amp', 'stock', f'{note}; {best_precision("cpu")[0]}')

# --- channels last, 16 bits, compiled ---

def choices(n, **_):
    "A training step with the one-line choices against a plain one"
    import torch
    from torch import nn
    from fastai.vision.all import DataLoaders, Learner
    from fastai.callback.channelslast import ChannelsLast
    from fastai.vision.models.xresnet import XResNet, ResBlock, xresnet50
    from fastai_tricks.all import best_precision, nag
    for what,net,c_in,size,bs in (('xresnet18 half width', lambda: XResNet(ResBlock, 1, [2,2,2,2], n_out=10, widen=.5), 3, 32, 64), ('xresnet50', lambda: xresnet50(n_out=10), 3, 64, 16)):
        torch.manual_seed(0)
        b = torch.randn(bs, c_in, size, size),torch.randint(0, 10, (bs,))
        def arm(f):
            learn = f(quiet(Learner(DataLoaders([b]*4, []), net(), loss_func=nn.CrossEntropyLoss(), opt_func=nag)))
            learn._do_epoch_validate = lambda *a, **kw: None
            return lambda: learn.fit(1, 1e-3)
        arms = {'plain': arm(lambda l: l), 'ChannelsLast': arm(lambda l: l.add_cb(ChannelsLast())), 'to_compiled': arm(lambda l: l.to_compiled()), "to_amp('bf16')": arm(lambda l: l.to_amp('bf16')),
                "ChannelsLast, to_amp('bf16')": arm(lambda l: l.add_cb(ChannelsLast()).to_amp('bf16'))}
        t = time.perf_counter()
        arms['to_compiled']()
        first_fit = time.perf_counter()-t
        rows = rounds_of(arms, n)
        for o in list(arms)[1:]: write(f'step with {o} / plain, {what}, {size} px, bs {bs}', '', '', rows, o, 'plain', note='4 batches a round' + (f'; its first fit took {first_fit:.0f} s by the clock, compiling' if o=='to_compiled' else ''))

# --- distillation ---

def distill(n, where=None, **_):
    "A step of distillation against fasterai's callback"
    if not where: return print('distillation: no path of fasterai was given, not measured', flush=True)
    from benchmarks import steps
    run = steps.arms(32, where)
    rows = rounds_of({o: run[o] for o in ('distill','fasterai')}, n, warm=2)
    write("distillation step / fasterai 0.4.1, xresnet50, 32 px", '<=', .7, rows, 'distill', 'fasterai')

# --- MixUp ---

def mixup(n, **_):
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
        cb.before_fit() if hasattr(cb, 'before_fit') else None
        if hasattr(cb, 'before_train'): cb.before_train()
        def f():
            learn.xb,learn.yb = (x,),(y,)
            cb.before_batch()
        return f
    tm,tv = timm.data.Mixup(mixup_alpha=.2, num_classes=10),v2.MixUp(alpha=.2, num_classes=10)
    arms = {'ours': arm(MixUp(.2)), 'fastai': arm(theirs.MixUp(.2)), 'timm': lambda: tm(x.clone(), y), 'torchvision': lambda: tv(x, y)}
    rows = rounds_of(arms, n, warm=3)
    for o in ('fastai','timm','torchvision'): write(f"MixUp batch / {o}'s, 256 x 3 x 64 x 64", '<=', 1., rows, 'ours', o, note='timm mixes in place: it gets a copy' if o=='timm' else '')

# --- import ---

def imports(n, **_):
    "`fastai_tricks.all` beyond `fastai.vision.all`, in fresh processes"
    def arm(more):
        code = f'import time; from fastai.vision.all import *; t = time.perf_counter(); {more}; print(time.perf_counter()-t)'
        return lambda: float(subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=root, capture_output=True, text=True, check=True, timeout=120).stdout.split()[-1])
    arms = {'ours': arm('from fastai_tricks.all import *'), 'one second': lambda: 1.}
    rows = rounds_of(arms, n, timer=lambda f: f())
    write('import of fastai_tricks.all beyond fastai.vision.all, in seconds', '<=', .3, rows, 'ours', 'one second', clock='clock')

# --- time to accuracy ---

def to_accuracy(n, short=False, **_):
    "CPU time until the accuracy that stock `fit_one_cycle` with Adam has after 15 epochs, embedded data, the same network and seeds"
    import torch
    from fastai.vision.all import Adam, Callback, CrossEntropyLossFlat, Learner, accuracy, set_seed
    from fastai_tricks.all import NoBiasDecay, nag, resnet18d, tiny_dls
    from fastai.vision.models.xresnet import XResNet, ResBlock
    n_ep,n_pic = (3 if short else 15),(500 if short else 5000)
    net = lambda: XResNet(ResBlock, 1, [1,1,1,1], c_in=1, n_out=10, widen=.5)
    class Clock(Callback):
        "CPU time and accuracy after each epoch; training only is timed"
        def before_train(self): self.t0 = time.process_time()
        def after_train(self): self.learn._spent = getattr(self.learn, '_spent', 0)+time.process_time()-self.t0
    rows = []
    for seed in range(n):
        res = {}
        for arm,ep in (('stock',n_ep),('ours',max(1,n_ep*2//5))):
            set_seed(seed)
            dls = tiny_dls(64, n_train=n_pic, n_valid=n_pic, seed=seed)
            set_seed(seed)
            learn = quiet(Learner(dls, net(), loss_func=CrossEntropyLossFlat(), metrics=accuracy, opt_func=Adam if arm=='stock' else nag, cbs=[Clock()] + ([] if arm=='stock' else [NoBiasDecay()])))
            if arm=='stock': learn.fit_one_cycle(ep, 3e-3) # it ends higher than with fastai's default, 1e-3
            else: learn.fit_warmup_cos(ep, .1, warmup_epochs=.5)
            res[arm] = learn._spent
            res[f'{arm} accuracy'] = learn.recorder.values[-1][-1]
        if res['ours accuracy']<res['stock accuracy']: res['ours'] = float('inf') # it was not reached
        rows.append(res)
        print(seed, {k:round(v,3) for k,v in res.items()}, flush=True)
    write('CPU time to the accuracy of 15 epochs of fit_one_cycle with Adam, small ResNet, embedded data', '<=', .5, rows, 'ours', 'stock',
          note='accuracy ' + '; '.join(f"{o['ours accuracy']:.4f} against {o['stock accuracy']:.4f}" for o in rows) + f"; {sum(o['ours']<float('inf') for o in rows)} of {n} seeds reached it; stock reads from memory too")

claims = dict(step=(step,5,31), imports=(imports,2,9), mixup=(mixup,9,61), full_bag=(full_bag,3,7), epoch=(epoch,2,5), choices=(choices,2,7), distill=(distill,3,9), to_accuracy=(to_accuracy,1,3))

def main(*args):
    global short_run
    warnings.simplefilter('ignore')
    import torch
    torch.set_num_threads(1)
    sys.path.insert(0, str(root))
    short,where = 'short' in args,next((o for o in args if Path(o).is_dir() and o not in claims), None)
    short_run = short
    for nm,(f,few,many) in claims.items():
        if not (set(args) & set(claims)) or nm in args: f(few if short else many, short=short, where=where)

if __name__=='__main__': main(*sys.argv[1:])
