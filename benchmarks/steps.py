"""What a step costs with smoothing and MixUp, and with a teacher, as ratios in one run: `python -m benchmarks.steps [rounds] [path of fasterai]`.

Every round times each arm once, in an order drawn anew, so that whatever else the machine does falls on all of them. A ratio is taken within a round; the median over rounds and the
quartiles are appended to benchmarks/results/steps.csv with the versions. fasterai is for this script only: `pip install --no-deps --target DIR fasterai==0.4.1`, then pass DIR."""
import csv, os, platform, random, statistics, sys, time, types, warnings
from datetime import datetime, timezone
from pathlib import Path

root = Path(__file__).resolve().parent.parent
bars = [('smoothing and MixUp / plain step', 'mixed', 'plain', '<=', 1.03),
        ('distillation / plain step and teacher forward', 'distill', 'plain+teacher', '<=', 1.05),
        ("fasterai's callback / distillation", 'fasterai', 'distill', '>=', 1.4)]

def learner(cbs, bs):
    import torch
    from torch import nn
    from fastai.vision.all import Learner, DataLoaders, SGD
    from fastai.vision.models.xresnet import xresnet50
    from fastai.callback.progress import ProgressCallback
    torch.manual_seed(0)
    b = torch.randn(bs, 3, 32, 32),torch.randint(0, 10, (bs,))
    learn = Learner(DataLoaders([b], [b]), xresnet50(n_out=10), loss_func=nn.CrossEntropyLoss(), opt_func=SGD, cbs=cbs).remove_cb(ProgressCallback)
    learn.logger = lambda *a: None
    return learn,b

def arms(bs, where):
    "Name to a function that makes one step"
    import torch
    from fastai.vision.models.xresnet import xresnet50
    from copy import deepcopy
    from fastai_tricks.target.distill import Distill
    from fastai_tricks.target.mixup import MixUp
    from fastai_tricks.target.smoothing import LabelSmoothing
    torch.manual_seed(1)
    teacher = xresnet50(n_out=10).eval()
    cbs = dict(plain=[], mixed=[LabelSmoothing(.1), MixUp(.2)], distill=[Distill(teacher)])
    if where:
        for nm in ('fasterai','fasterai.core','fasterai.distill'): # its packages import much that is not needed here: only the callback's files are loaded
            sys.modules[nm] = m = types.ModuleType(nm)
            m.__path__ = [str(Path(where)/nm.replace('.','/'))]
        from fasterai.distill.distillation_callback import KnowledgeDistillationCallback
        from fasterai.distill.losses import SoftTarget
        cbs['fasterai'] = [KnowledgeDistillationCallback(deepcopy(teacher), SoftTarget)]
    res = {}
    for nm,cb in cbs.items():
        learn,b = learner(cb, bs)
        learn.create_opt()
        learn.opt.set_hypers(lr=1e-4)
        learn.n_epoch,learn.epoch,learn.dl,learn.n_iter = 1,0,learn.dls.train,1
        learn('before_fit')
        learn('before_epoch')
        learn('before_train')
        res[nm] = lambda learn=learn, b=b: (setattr(learn, 'pct_train', 0.), learn.one_batch(0, b))
    x = learner([], bs)[1][0]
    def forward():
        with torch.no_grad(): teacher(x)
    res['teacher'] = forward
    return res

def timed(f):
    "Seconds of this process, one thread on the CPU: what else the machine does is not counted"
    t = time.process_time()
    f()
    return time.process_time()-t

def main(rounds=15, where=None, bs=32):
    warnings.simplefilter('ignore')
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    import torch, fastai
    torch.set_num_threads(1)
    run,rows,rng = arms(bs, where),[],random.Random(0)
    for f in run.values(): f(), f() # warm up
    for _ in range(rounds):
        names = list(run)
        rng.shuffle(names)
        t = {nm: timed(run[nm]) for nm in names}
        t['plain+teacher'] = t['plain']+t['teacher']
        rows.append(t)
    out = root/'benchmarks'/'results'/'steps.csv'
    out.parent.mkdir(parents=True, exist_ok=True)
    new = not out.exists()
    with open(out, 'a', newline='') as f:
        w = csv.writer(f)
        if new: w.writerow('date what median q1 q3 rounds bar met ms ms_of_reference bs size net threads device torch fastai python machine'.split())
        for what,a,b,op,bar in bars:
            if a not in rows[0]: continue
            q1,med,q3 = statistics.quantiles([o[a]/o[b] for o in rows], n=4, method='inclusive')
            met = med<=bar if op=='<=' else med>=bar
            ms = [1000*statistics.median(o[k] for o in rows) for k in (a,b)]
            w.writerow([datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M'), what, f'{med:.4f}', f'{q1:.4f}', f'{q3:.4f}', rounds, f'{op}{bar}', met, *(f'{o:.1f}' for o in ms), bs, 32, 'xresnet50',
                        torch.get_num_threads(), 'cpu', torch.__version__, fastai.__version__, platform.python_version(), platform.machine()])
            print(f"{what}: {med:.3f} ({q1:.3f} to {q3:.3f}), bar {op}{bar}: {'met' if met else 'MISSED'}; {ms[0]:.0f} ms against {ms[1]:.0f} ms")

if __name__=='__main__': main(*(int(o) if o.isdigit() else o for o in sys.argv[1:3]))
