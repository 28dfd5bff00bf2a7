"""200 random combinations of target tricks, losses, precisions, accumulation and interruptions, seed fixed.

Every training loss is the formula, every validation loss the user's own.
An interrupted Learner is left as a plain one would be."""
import random
from collections import Counter
from dataclasses import dataclass
from functools import partial
import pytest, torch
from torch import nn
import torch.nn.functional as F
from fastai.vision.all import (BCEWithLogitsLossFlat, Callback, CrossEntropyLossFlat, FocalLossFlat,
                               GradientAccumulation, L1LossFlat, LabelSmoothingCrossEntropyFlat, MSELossFlat,
                               trainable_params)
from fastai_tricks.base.amp import AMP
from fastai_tricks.base.trial import CheckNet, check_dls, check_spec, silent_learner
from fastai_tricks.base.trial import Overflow, Strike, count_hooks, learner_state
from fastai_tricks.target.losses import smooth_labels
from fastai_tricks.target.target import batch_target
from fastai_tricks.target.trial import AsLoaded, item_dls, mask_of
from fastai_tricks.target.smoothing import LabelSmoothing
from fastai_tricks.target.mixup import MixUp
from fastai_tricks.target.cutmix import CutMix
from fastai_tricks.target.mix_switch import MixSwitch
from fastai_tricks.target.distill import Distill

n_cases,K = 200,4
w = torch.arange(1., K+1)

def conv(n_out, c_in=3): return nn.Sequential(nn.Conv2d(c_in, n_out, 3, padding=1))
def onehot(y): return F.one_hot(y, K).float()

classes = check_dls
masks   = partial(item_dls, lambda x,y,i: (x, mask_of(x)))
multi   = partial(item_dls, lambda x,y,i: (x, onehot(y)*(i%3>0)))
dense   = partial(item_dls, lambda x,y,i: (x, onehot(y)*.7+.075))
values  = partial(item_dls, lambda x,y,i: (x, x.mean((1,2)).repeat(2)[:K]))

# The loss of predictions `z` on labels `y` by hand.
# `lam` has a weight for each item, `e` is the uniform share of smoothing, `y0` the true labels.
def rows(z, y): return z.movedim(1,-1).reshape(-1, K),y.reshape(-1)
def of_rows(lam, z, bs): return lam.repeat_interleave(len(z)//bs)

def ce(z, y, y0, lam, e, weight=torch.ones(K), ignore=-100, own=0.):
    bs = len(z)
    (z,y),(_,y0) = rows(z,y),rows(z,y0)
    counts,counts0 = y!=ignore,y0!=ignore
    q = smooth_labels(torch.where(counts, y, 0), K, e+own-e*own, 'uniform')
    losses = -(q*weight*F.log_softmax(z,-1)).sum(-1)*counts
    return (of_rows(lam,z,bs)*losses).sum()/weight[y0[counts0]].sum()

def soft(z, y, y0, lam, e): return (lam*-((y*(1-e)+e/K)*F.log_softmax(z,-1)).sum(-1)).mean()

def focal(z, y, y0, lam, e):
    p = F.softmax(z,-1)
    losses = -(1-p)**2*p.log()
    return (lam*((1-e)*losses[range(len(y)),y] + e*losses.mean(-1))).mean()

def bce(z, y, y0, lam, e):
    return (lam[:,None]*F.binary_cross_entropy_with_logits(z, y*(1-e)+e/2, reduction='none')).mean()

def mse(z, y, y0, lam, e): return (lam[:,None]*(z-y)**2).mean()
def mae(z, y, y0, lam, e): return (lam[:,None]*(z-y).abs()).mean()

@dataclass
class Kind:
    "A loss, the data and the network it is for, and its formula"
    loss:object
    data:object
    formula:object
    of_classes:bool=True # may be smoothed, pasted and distilled
    arch:object=CheckNet

kinds = dict(
    ce            = Kind(CrossEntropyLossFlat, classes, ce),
    torch_ce      = Kind(nn.CrossEntropyLoss, classes, ce),
    function      = Kind(lambda: F.cross_entropy, classes, ce),
    weighted      = Kind(lambda: CrossEntropyLossFlat(weight=w), classes, partial(ce, weight=w)),
    partial       = Kind(lambda: partial(F.cross_entropy, weight=w), classes, partial(ce, weight=w)),
    ignore        = Kind(lambda: nn.CrossEntropyLoss(w, ignore_index=2), classes, partial(ce, weight=w, ignore=2)),
    own_smoothing = Kind(lambda: nn.CrossEntropyLoss(label_smoothing=.1), classes, partial(ce, own=.1)),
    smoothing     = Kind(lambda: LabelSmoothingCrossEntropyFlat(eps=.1), classes, partial(ce, own=.1)),
    focal         = Kind(FocalLossFlat, classes, focal),
    masks         = Kind(lambda: CrossEntropyLossFlat(axis=1), masks, ce, arch=conv),
    masks_ignore  = Kind(lambda: CrossEntropyLossFlat(axis=1, ignore_index=1), masks, partial(ce, ignore=1), arch=conv),
    dense         = Kind(nn.CrossEntropyLoss, dense, soft),
    multi         = Kind(BCEWithLogitsLossFlat, multi, bce),
    mse           = Kind(MSELossFlat, values, mse, of_classes=False),
    l1            = Kind(L1LossFlat, values, mae, of_classes=False))

events = ('before_fit before_epoch before_train before_batch after_pred after_loss before_backward after_backward '
          'before_step after_step after_batch after_train before_validate after_validate after_epoch after_fit').split()

def labels(loaded, items, x, kind):
    "What the mixed batch `x` is made of, checked against the loaded one: pairs of weight and labels"
    x0,y0 = loaded.inputs[0],loaded.labels[0]
    if len(items)==1: return [(1.,y0)]
    (l1,i1),(l2,i2) = [(torch.as_tensor(l, dtype=torch.float32)*torch.ones(len(x)),i) for l,i in items]
    a,b = x0[i1],x0[i2]
    assert torch.equal(a, x0), 'the first label is not that of the image'
    blend = torch.allclose(x, l1[:,None,None,None]*a+l2[:,None,None,None]*b, atol=1e-5)
    if not blend: is_paste(x, a, b, torch.where(i1==i2, 0., l2))
    if kind.startswith('masks') and not blend: return [(1.,torch.stack([mask_of(o) for o in x]))]
    return [(l1,y0[i1]),(l2,y0[i2])]

def is_paste(x, a, b, area):
    "Every pixel of `x` is one of `a` or of `b`, the latter in the share `area`"
    own,theirs = (x==a).all(1),(x==b).all(1)
    assert (own|theirs).all(), 'a pixel comes from nowhere'
    assert torch.allclose((~own).float().mean((1,2)), area, atol=1e-6), 'the area is not 1 - lambda'

class Judge(Callback):
    "Compare every loss with the formula"
    order = 5
    def __init__(self, kind, teacher, distill, loaded):
        self.kind,self.teacher = kind,teacher
        self.distill,self.loaded = distill,loaded
        self.n = 0

    def after_loss(self):
        z,loss = self.learn.pred.detach().float(),float(self.learn.loss.detach())
        if not self.training:
            y = self.loaded.labels[0]
            return self.same(loss, kinds[self.kind].formula(z, y, y, torch.ones(len(z)), 0.), 'validation')
        t = batch_target(self.learn)
        want = self.of_labels(z, t)
        if self.distill is not None and self.distill.active:
            want = self.distill.hard*want + self.distill.soft*self.of_teacher(z)
        self.same(loss, want, 'training')
        self.n += 1

    def of_labels(self, z, t):
        "The loss of the labels, by hand"
        formula,ones = kinds[self.kind].formula,torch.ones(len(z))
        targets = labels(self.loaded, t.items, self.learn.x.as_subclass(torch.Tensor), self.kind)
        for l,_ in targets: assert ((torch.as_tensor(l)>=0)&(torch.as_tensor(l)<=1)).all()
        eps,form = t.smooth or (0.,'uniform')
        if form=='paper' and self.kind!='multi': eps *= K/(K-1)
        # pasted masks are the labels of the pasted images
        y0 = self.loaded.labels[0] if len(targets)>1 else targets[0][1]
        return sum(formula(z, y, y0, torch.as_tensor(l)*ones, eps) for l,y in targets)

    def of_teacher(self, z):
        "The teacher's term, by hand"
        with torch.no_grad(): r = self.teacher(self.learn.x).float()
        T = self.distill.T
        if self.kind=='multi': return T*T*F.binary_cross_entropy_with_logits(z/T, torch.sigmoid(r/T))
        return T*T*F.cross_entropy(z/T, F.softmax(r/T,1))

    def same(self, loss, want, where):
        want = float(want)
        assert abs(loss-want)<=3e-6*max(1, abs(want)), f'{where} loss is {loss}, the formula gives {want}'

@dataclass
class Case:
    "One combination"
    kind:str
    mixer:object
    smooth:object
    teach:object
    others:list
    strike:tuple

def draw_mixer(rng, of_classes):
    "A function that gives a mixer, or None"
    window = dict(p=rng.choice([1,1,.6]), start=rng.choice([0,0,.3]), stop=rng.choice([1,1,.8]))
    lam,alpha = rng.choice(['batch','sample']),rng.choice([.2,1.])
    mixers = [None, lambda: MixUp(alpha, lam=lam, **window)]
    if of_classes:
        mixers += [lambda: CutMix(alpha, lam=lam, **window),
                   lambda: MixSwitch(MixUp(alpha, lam=lam), CutMix(lam=lam), **window)]
    return rng.choice(mixers)

def draw_others(rng):
    "Precision, accumulation, a skipped step"
    amp,accumulation = rng.choice([None,None,'bf16','fp16']),rng.choice([None,None,partial(GradientAccumulation,16)])
    others = [partial(AMP, amp) if amp else None, accumulation]
    if amp=='fp16' and rng.random()<.5: others.append(Overflow)
    return [o for o in others if o]

def draw(rng):
    "One combination"
    kind = rng.choice(sorted(kinds))
    of_classes = kinds[kind].of_classes
    mixer = draw_mixer(rng, of_classes)
    smoothing = dict(eps=rng.choice([.05,.1,.3]), form=rng.choice(['paper','uniform']), p=rng.choice([1,.5]))
    smooth = rng.choice([None, partial(LabelSmoothing, **smoothing)]) if of_classes else None
    weights = dict(T=rng.choice([1.,4.,20.]), hard=rng.choice([1.,.5,0.]), soft=rng.choice([1.,.3]))
    teach = rng.choice([None, partial(Distill, **weights)]) if of_classes else None
    others,strike = draw_others(rng),None
    if rng.random()>=.3:
        exc = rng.choice([KeyboardInterrupt('stop'),RuntimeError('CUDA out of memory'),ValueError('bad batch')])
        strike = rng.choice(events),exc,rng.choice([-1000,3,7,1000]),rng.randrange(3)
    return Case(kind, mixer, smooth, teach, others, strike)

def run(spec, cbs, strike):
    "A Learner with `cbs` after a fit, and whether the fit was left by `strike`"
    learn = silent_learner(spec)
    learn.add_cbs(cbs)
    before = {o:getattr(learn,o) for o in ('loss_func','model','dls')}
    struck = False # a step that accumulation or a skipped step put off until after the last batch is not met
    try: learn.fit(1, .02, cbs=[] if strike is None else [Strike(*strike)])
    except BaseException as e:
        if strike is None or not (e is strike[1] or str(strike[1]) in str(e)): raise
        struck = True
    for k,v in before.items(): assert getattr(learn,k) is v, f'{k} is another object'
    return learn,struck

def same_state(learn, plain, cbs):
    "`learn`, without `cbs`, is as `plain`"
    a,b = learner_state(plain),learner_state(learn, {o.name for o in cbs})
    for k in a: assert a[k]==b[k], f'{k}: {b[k]}, a plain Learner has {a[k]}'

def same_teacher(teacher, modes):
    "The teacher is as it was"
    assert [m.training for m in teacher.modules()]==modes, 'the teacher is in another mode'
    assert not count_hooks(teacher), 'the teacher has hooks'
    assert all(p.grad is None for p in teacher.parameters()), 'the teacher got gradients'

def check(case, i):
    "Train `case` beside a plain run; the callbacks, how many losses were compared, and whether it was struck"
    kind = kinds[case.kind]
    torch.manual_seed(i)
    teacher = kind.arch(K).train(i%2==0)
    modes = [m.training for m in teacher.modules()]
    spec = check_spec(dls=kind.data, loss_func=kind.loss(), arch=kind.arch, splitter=trainable_params, seed=i)
    distill = case.teach(teacher) if case.teach else None
    ours = [f() for f in (case.mixer,case.smooth) if f] + ([distill] if distill else [])
    random.Random(i).shuffle(ours)
    loaded = AsLoaded()
    judge = Judge(case.kind, teacher, distill, loaded)
    plain,plain_struck = run(spec, [f() for f in case.others], case.strike)
    learn,struck = run(spec, [*ours, judge, loaded, *[f() for f in case.others]], case.strike)
    assert struck==plain_struck, 'the exception was swallowed'
    same_state(learn, plain, [*ours, judge, loaded])
    same_teacher(teacher, modes)
    assert len(learn.metrics)==0 and not any(cb.active for cb in ours), 'something is held'
    n = judge.n
    learn.fit(1, .02)
    assert judge.n-n==4, 'the next fit did not run'
    return ours,judge.n,struck

@pytest.mark.filterwarnings('ignore')
def test_every_combination_is_the_formula_and_leaves_no_trace():
    rng,seen = random.Random(20261124),Counter()
    n_losses = n_struck = 0
    for i in range(n_cases):
        case = draw(rng)
        try: ours,n,struck = check(case, i)
        except Exception as e: raise AssertionError(f'case {i}, {case}: {type(e).__name__}: {e}') from e
        n_losses += n
        n_struck += struck
        seen.update(type(cb).__name__ for cb in ours)
    assert n_losses>4*n_cases and n_struck>n_cases/2 # the draw covers what it should
    assert min(seen.values())>=15 and len(seen)==5, seen
