"""200 random combinations of target tricks, losses, precisions, accumulation and interruptions, seed fixed: every training loss is the formula,
every validation loss the user's own, and an interrupted Learner is left as a plain one would be."""
import random, warnings
from functools import partial
import numpy as np, pytest, torch
from torch import nn
import torch.nn.functional as F
from fastai.vision.all import (Callback, CrossEntropyLossFlat, BCEWithLogitsLossFlat, FocalLossFlat, LabelSmoothingCrossEntropyFlat, MSELossFlat, L1LossFlat, DataLoaders, TfmdDL, GradientAccumulation, trainable_params, L)
from fastai_tricks.base.amp import AMP
from fastai_tricks.base.trial import CheckNet, check_dls, check_spec
from fastai_tricks.base.trial import Overflow, Strike, count_hooks, learner_state
from fastai_tricks.base.trial import silent_learner
from fastai_tricks.target.target import LabelSmoothing, TargetCallback, smooth_labels
from fastai_tricks.target.mixup import MixUp, Mixer
from fastai_tricks.target.cutmix import CutMix, MixSwitch
from fastai_tricks.target.distill import Distill

n_cases,K = 200,4
w = torch.arange(1., K+1)

def conv(n_out, c_in=3): return nn.Sequential(nn.Conv2d(c_in, n_out, 3, padding=1))
def onehot(y): return F.one_hot(y, K).float()
def mask_of(x): return (x[0]>0).long()+2*(x[1]>0).long()

def dls_of(f, n=30, bs=8):
    src = check_dls(n=n).train_ds
    items = [(x, f(x,y,i)) for i,(x,y) in enumerate([src[i] for i in range(n)])]
    dls = DataLoaders(*[TfmdDL(items, bs=bs, shuffle=s, num_workers=0) for s in (True,False)])
    dls.n_inp,dls.c = 1,K
    return dls

classes = lambda: check_dls()
masks   = lambda: dls_of(lambda x,y,i: mask_of(x))
multi   = lambda: dls_of(lambda x,y,i: onehot(y)*(i%3>0))
dense   = lambda: dls_of(lambda x,y,i: onehot(y)*.7+.075)
values  = lambda: dls_of(lambda x,y,i: x.mean((1,2)).repeat(2)[:K])

# the loss of predictions `z` on labels `y` by hand; `lam` has a weight for each item, `e` is the uniform share of smoothing, `y0` the true labels
def rows(z, y):
    z = z.movedim(1,-1).reshape(-1, K)
    return z,y.reshape(-1)
def per(lam, z, bs): return lam.repeat_interleave(len(z)//bs)
def ce(z, y, y0, lam, e, weight=torch.ones(K), ignore=-100, own=0.):
    bs = len(z)
    (z,y),(_,y0) = rows(z,y),rows(z,y0)
    ok,ok0,e = y!=ignore,y0!=ignore,e+own-e*own
    q = smooth_labels(torch.where(ok, y, 0), K, e, 'uniform')
    l = -(q*weight*F.log_softmax(z,-1)).sum(-1)*ok
    return (per(lam,z,bs)*l).sum()/weight[y0[ok0]].sum()
def soft(z, y, y0, lam, e): return (lam*-((y*(1-e)+e/K)*F.log_softmax(z,-1)).sum(-1)).mean()
def focal(z, y, y0, lam, e):
    p = F.softmax(z,-1)
    fl = -(1-p)**2*p.log()
    return (lam*((1-e)*fl[range(len(y)),y] + e*fl.mean(-1))).mean()
def bce(z, y, y0, lam, e): return (lam[:,None]*F.binary_cross_entropy_with_logits(z, y*(1-e)+e/2, reduction='none')).mean()
def mse(z, y, y0, lam, e): return (lam[:,None]*(z-y)**2).mean()
def mae(z, y, y0, lam, e): return (lam[:,None]*(z-y).abs()).mean()

# name: loss, data, formula, may be smoothed and distilled, network
kinds = dict(
    ce=(CrossEntropyLossFlat, classes, ce, True, CheckNet), torch_ce=(nn.CrossEntropyLoss, classes, ce, True, CheckNet), function=(lambda: F.cross_entropy, classes, ce, True, CheckNet),
    weighted=(lambda: CrossEntropyLossFlat(weight=w), classes, partial(ce, weight=w), True, CheckNet), partial=(lambda: partial(F.cross_entropy, weight=w), classes, partial(ce, weight=w), True, CheckNet),
    ignore=(lambda: nn.CrossEntropyLoss(ignore_index=2, weight=w), classes, partial(ce, weight=w, ignore=2), True, CheckNet),
    own_smoothing=(lambda: nn.CrossEntropyLoss(label_smoothing=.1), classes, partial(ce, own=.1), True, CheckNet),
    smoothing=(lambda: LabelSmoothingCrossEntropyFlat(eps=.1), classes, partial(ce, own=.1), True, CheckNet), focal=(FocalLossFlat, classes, focal, True, CheckNet),
    masks=(lambda: CrossEntropyLossFlat(axis=1), masks, ce, True, conv), masks_ignore=(lambda: CrossEntropyLossFlat(axis=1, ignore_index=1), masks, partial(ce, ignore=1), True, conv),
    dense=(nn.CrossEntropyLoss, dense, soft, True, CheckNet), multi=(BCEWithLogitsLossFlat, multi, bce, True, CheckNet),
    mse=(MSELossFlat, values, mse, False, CheckNet), l1=(L1LossFlat, values, mae, False, CheckNet))

events = 'before_fit before_epoch before_train before_batch after_pred after_loss before_backward after_backward before_step after_step after_batch after_train before_validate after_validate after_epoch after_fit'.split()

class Early(Callback):
    "Show the judge the batch as it was loaded"
    order = -50
    def __init__(self, judge): self.judge = judge
    def before_batch(self): self.judge._x,self.judge._y = [o.as_subclass(torch.Tensor).clone() for o in (self.learn.x,self.learn.y)]

def labels(judge, mixed, x):
    "What the mixed batch `x` is made of, checked against the loaded one: pairs of weight and labels"
    items = mixed['items']
    if len(items)==1: return [(1.,judge._y)]
    (l1,i1),(l2,i2) = [(torch.as_tensor(l, dtype=torch.float32)*torch.ones(len(x)),i) for l,i in items]
    a,b = judge._x[i1],judge._x[i2]
    assert torch.equal(a, judge._x), 'the first label is not that of the picture'
    blend = torch.allclose(x, l1[:,None,None,None]*a+l2[:,None,None,None]*b, atol=1e-5)
    if not blend: # a paste: every pixel is one of two, in the share that lambda says
        own,theirs = (x==a).all(1),(x==b).all(1)
        assert (own|theirs).all(), 'a pixel comes from nowhere'
        assert torch.allclose((~own).float().mean((1,2)), torch.where(i1==i2, 0., l2), atol=1e-6), 'the area is not 1 - lambda'
    if judge.kind.startswith('masks') and not blend: return [(1.,torch.stack([mask_of(o) for o in x]))]
    return [(l1,judge._y[i1]),(l2,judge._y[i2])]

class Judge(Callback):
    "Compare every loss with the formula"
    order = 5
    def __init__(self, kind, teacher): self.kind,self.teacher,self.n = kind,teacher,0
    def after_loss(self):
        learn,(_,_,formula,_,_) = self.learn,kinds[self.kind]
        z,got = learn.pred.detach().float(),float(learn.loss.detach())
        ones = torch.ones(len(z))
        if not self.training: return self.same(got, formula(z, self._y, self._y, ones, 0.), 'validation')
        parts = {type(o):o._part for o in learn.cbs if isinstance(o, TargetCallback) and o._part is not None}
        smooth,mixed,dist = (next((v for k,v in parts.items() if issubclass(k, c)), None) for c in (LabelSmoothing, Mixer, Distill))
        e = 0. if smooth is None else smooth['smooth'][0]*(K/(K-1) if smooth['smooth'][1]=='paper' and self.kind!='multi' else 1)
        targets = labels(self, mixed, learn.x.as_subclass(torch.Tensor)) if mixed else [(1.,self._y)]
        for l,_ in targets: assert ((torch.as_tensor(l)>=0)&(torch.as_tensor(l)<=1)).all()
        y0 = self._y if len(targets)>1 else targets[0][1] # pasted masks are the labels of the pasted pictures
        want = sum(formula(z, y, y0, torch.as_tensor(l)*ones, e) for l,y in targets)
        if dist is not None:
            cb = next(o for o in learn.cbs if isinstance(o, Distill))
            with torch.no_grad(): r = self.teacher(learn.x).float()
            T = cb.T
            term = T*T*(F.binary_cross_entropy_with_logits(z/T, torch.sigmoid(r/T)) if self.kind=='multi' else F.cross_entropy(z/T, F.softmax(r/T,1)))
            want = cb.hard*want + cb.soft*term
        self.same(got, want, 'training')
        self.n += 1
    def same(self, got, want, where): assert abs(got-float(want))<=3e-6*max(1, abs(float(want))), f'{where} loss is {got}, the formula gives {float(want)}'

def draw(rng):
    "One combination"
    kind = rng.choice(sorted(kinds))
    ok = kinds[kind][3]
    where = dict(p=rng.choice([1,1,.6]), start=rng.choice([0,0,.3]), stop=rng.choice([1,1,.8]))
    lam = rng.choice(['batch','sample'])
    mixers = [None, lambda: MixUp(rng_alpha, lam=lam, **where)]
    rng_alpha = rng.choice([.2,1.])
    if ok: mixers += [lambda: CutMix(rng_alpha, lam=lam, **where), lambda: MixSwitch(MixUp(rng_alpha, lam=lam), CutMix(lam=lam), **where)]
    form,eps,T,hard,soft_w = rng.choice(['paper','uniform']),rng.choice([.05,.1,.3]),rng.choice([1.,4.,20.]),rng.choice([1.,.5,0.]),rng.choice([1.,.3])
    smooth = rng.choice([None, lambda: LabelSmoothing(eps, form, p=rng_p)]) if ok else None
    rng_p = rng.choice([1,.5])
    teach = rng.choice([None, lambda t: Distill(t, T=T, hard=hard, soft=soft_w)]) if ok else None
    others = [rng.choice([None,None,partial(AMP,'bf16'),partial(AMP,'fp16')]), rng.choice([None,None,partial(GradientAccumulation,16)])]
    if others[0] and others[0].args==('fp16',) and rng.random()<.5: others.append(Overflow)
    blow = None if rng.random()<.3 else (rng.choice(events), rng.choice([KeyboardInterrupt('stop'),RuntimeError('CUDA out of memory'),ValueError('bad batch')]), rng.choice([-1000,3,7,1000]), rng.randrange(3))
    return SimpleCase(kind=kind, mixer=rng.choice(mixers), smooth=smooth, teach=teach, others=[o for o in others if o], blow=blow, order=rng.random(), lam=lam)

class SimpleCase(dict):
    __getattr__ = dict.__getitem__

def run(spec, cbs, blow):
    "A Learner with `cbs` after a fit, interrupted or not"
    learn = silent_learner(spec)
    learn.add_cbs(cbs)
    held,learn.struck = {o:getattr(learn,o) for o in ('loss_func','model','dls')},blow is not None
    strike = [] if blow is None else [Strike(blow[0], blow[1], blow[2], blow[3])]
    try: learn.fit(1, .02, cbs=strike)
    except BaseException as e:
        if blow is None or not (e is blow[1] or str(blow[1]) in str(e)): raise
    else: learn.struck = False # a step that accumulation or a skipped step put off until after the last batch
    for k,v in held.items(): assert getattr(learn,k) is v, f'{k} is another object'
    return learn

@pytest.mark.filterwarnings('ignore')
def test_every_combination_is_the_formula_and_leaves_no_trace():
    rng,seen,n_losses,n_struck = random.Random(20261124),{},0,0
    for i in range(n_cases):
        o = draw(rng)
        lf,data,_,_,arch = kinds[o.kind]
        torch.manual_seed(i)
        teacher = arch(K).train(i%2==0)
        spec = check_spec(dls=data, loss_func=lf(), arch=arch, splitter=trainable_params, seed=i)
        modes = [m.training for m in teacher.modules()]
        ours = [f() for f in (o.mixer,o.smooth) if f] + ([o.teach(teacher)] if o.teach else [])
        random.Random(i).shuffle(ours)
        judge = Judge(o.kind, teacher)
        what = f'case {i}: {o.kind}, {ours}, {[getattr(f,"func",f).__name__ for f in o.others]}, blow {o.blow}'
        try:
            plain = run(spec, [f() for f in o.others], o.blow)
            learn = run(spec, [*ours, judge, Early(judge), *[f() for f in o.others]], o.blow)
            assert learn.struck==plain.struck, 'the blow was swallowed'
            mine = {cb.name for cb in ours} | {judge.name, 'early'}
            a,b = learner_state(plain),learner_state(learn, mine)
            for k in a: assert a[k]==b[k], f'{k}: {b[k]}, a plain Learner has {a[k]}'
            assert [m.training for m in teacher.modules()]==modes and not count_hooks(teacher), 'the teacher is not as it was'
            assert all(p.grad is None for p in teacher.parameters()), 'the teacher got gradients'
            assert len(learn.metrics)==0 and all(cb._part is None for cb in ours), 'something is held'
            n0 = judge.n
            learn.fit(1, .02)
            assert judge.n-n0==4, 'the next fit did not run'
        except Exception as e: raise AssertionError(f'{what}: {type(e).__name__}: {e}') from e
        n_losses += judge.n
        n_struck += learn.struck
        for cb in ours: seen[type(cb).__name__] = seen.get(type(cb).__name__, 0)+1
    assert n_losses>4*n_cases and n_struck>n_cases/2 and min(seen.values())>=15 and len(seen)==5, seen # the draw covers what it should
