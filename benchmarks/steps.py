"""What a step costs with smoothing and MixUp, and with a teacher, as ratios in one run:
`python -m benchmarks.steps [rounds] [path of fasterai]`.

Every round times each arm once, in an order drawn anew, so that whatever else the machine does falls on all of them.
A ratio is taken within a round.
The median over rounds and the quartiles are appended to benchmarks/results/steps.csv with the versions.
fasterai is for this script only: `pip install --no-deps --target DIR fasterai==0.4.1`, then pass DIR."""
import os, statistics, sys, types, warnings
from pathlib import Path
from benchmarks.rows import append_row, here, in_words, is_met, quiet, ratio, rounds_of

root = Path(__file__).resolve().parent.parent
bars = [
    ('smoothing and MixUp / plain step', 'mixed', 'plain', '<=', 1.03),
    ('distillation / plain step and teacher forward', 'distill', 'plain+teacher', '<=', 1.05),
    ("fasterai's callback / distillation", 'fasterai', 'distill', '>=', 1.4),
]
head = '''date what median q1 q3 rounds bar met ms ms_of_reference bs size net threads device torch fastai
    python machine'''.split()

def learner(cbs, bs):
    "An xresnet50 on one batch, and the batch"
    import torch
    from torch import nn
    from fastai.vision.all import DataLoaders, Learner, SGD
    from fastai.vision.models.xresnet import xresnet50
    torch.manual_seed(0)
    batch = torch.randn(bs, 3, 32, 32),torch.randint(0, 10, (bs,))
    dls = DataLoaders([batch], [batch])
    return quiet(Learner(dls, xresnet50(n_out=10), loss_func=nn.CrossEntropyLoss(), opt_func=SGD, cbs=cbs)),batch

def fasterai_callback(teacher, where):
    "Distillation of fasterai: its packages import much that is not needed, so only the callback's files are loaded"
    for name in ('fasterai', 'fasterai.core', 'fasterai.distill'):
        sys.modules[name] = module = types.ModuleType(name)
        module.__path__ = [str(Path(where)/name.replace('.', '/'))]
    from fasterai.distill.distillation_callback import KnowledgeDistillationCallback
    from fasterai.distill.losses import SoftTarget
    return KnowledgeDistillationCallback(teacher, SoftTarget)

def one_step(cbs, bs):
    "A function that makes one step of training"
    learn,batch = learner(cbs, bs)
    learn.create_opt()
    learn.opt.set_hypers(lr=1e-4)
    learn.n_epoch,learn.epoch = 1,0
    learn.dl,learn.n_iter = learn.dls.train,1
    for event in ('before_fit', 'before_epoch', 'before_train'): learn(event)
    def step():
        learn.pct_train = 0.
        learn.one_batch(0, batch)
    return step

def arms(bs, where):
    "Name to a function that makes one step"
    import torch
    from copy import deepcopy
    from fastai.vision.models.xresnet import xresnet50
    from fastai_tricks.all import Distill, LabelSmoothing, MixUp
    torch.manual_seed(1)
    teacher = xresnet50(n_out=10).eval()
    cbs = dict(plain=[], mixed=[LabelSmoothing(.1), MixUp(.2)], distill=[Distill(teacher)])
    if where: cbs['fasterai'] = [fasterai_callback(deepcopy(teacher), where)]
    x,_ = learner([], bs)[1]
    def forward():
        with torch.no_grad(): teacher(x)
    return {**{name:one_step(o, bs) for name,o in cbs.items()}, 'teacher':forward}

def row_of(rounds, bar, bs):
    "The row of a ratio, and what it says"
    what,a,b,op,limit = bar
    q1,median,q3 = ratio(rounds, a, b)
    ms,ms_of_reference = (1000*statistics.median(o[k] for o in rounds) for k in (a, b))
    row = dict(
        what=what,
        median=f'{median:.4f}',
        q1=f'{q1:.4f}',
        q3=f'{q3:.4f}',
        rounds=len(rounds),
        bar=f'{op}{limit}',
        met=is_met(median, op, limit),
        ms=f'{ms:.1f}',
        ms_of_reference=f'{ms_of_reference:.1f}',
        bs=bs,
        size=32,
        net='xresnet50',
        **{k:v for k,v in here().items() if k in head},
    )
    return row,f'{in_words(what, (q1, median, q3), op, limit)}; {ms:.0f} ms against {ms_of_reference:.0f} ms'

def main(n=15, where=None, bs=32):
    warnings.simplefilter('ignore')
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    import torch
    torch.set_num_threads(1)
    rounds = rounds_of(arms(bs, where), n, warm=2)
    for o in rounds: o['plain+teacher'] = o['plain']+o['teacher']
    for bar in bars:
        if bar[1] not in rounds[0]: continue
        row,words = row_of(rounds, bar, bs)
        append_row(root/'benchmarks'/'results'/'steps.csv', row, head)
        print(words)

if __name__=='__main__': main(*(int(o) if o.isdigit() else o for o in sys.argv[1:3]))
