"""Random nesting of runs, over random combinations of tricks, seed fixed.

Validations within a fit change nothing, to the last bit.
After cancels, fits within a fit and interrupts, also a second one while callbacks clean up,
a Learner is as a plain one."""
import random, tempfile, warnings
from functools import partial
from pathlib import Path
import pytest, torch
from fastai.vision.all import (CancelBatchException, CancelEpochException, CancelFitException, CancelStepException,
                               CancelTrainException, CancelValidException, Callback, GradientAccumulation,
                               MixedPrecision,
                               accuracy)
from fastai_tricks.base.amp import AMP
from fastai_tricks.base.callback import TrickCallback
from fastai_tricks.base.laws import fit_events
from fastai_tricks.base.order import Order
from fastai_tricks.base.runs import runs_of
from fastai_tricks.base.trial import CheckNet, check_spec, count_hooks, learner_state, same_trail, silent_learner, trail
from fastai_tricks.data.wait import DataWait
from fastai_tricks.target.cutmix import CutMix
from fastai_tricks.target.distill import Distill
from fastai_tricks.target.mix_switch import MixSwitch
from fastai_tricks.target.mixup import MixUp
from fastai_tricks.target.smoothing import LabelSmoothing
from fastai_tricks.train.decay import NoBiasDecay
from fastai_tricks.train.optim import nag
import fastai_tricks.train.schedule

teacher = CheckNet(4)
cancels = dict(batch=CancelBatchException, step=CancelStepException, train=CancelTrainException,
               valid=CancelValidException, epoch=CancelEpochException, fit=CancelFitException)

class Acts(Callback):
    "Do what was drawn: at an event, at its `n`th time"
    in_export = False
    run_valid = True
    def __init__(self, acts, order):
        self.acts,self.order = list(acts),order
        self.times,self._busy,self.done = {},False,[]
        for event in {o[0] for o in acts}: setattr(self, event, partial(self.at, event))

    def at(self, event):
        "One more time that `event` comes"
        if self._busy: return
        n = self.times[event] = self.times.get(event, -1)+1
        for act in [o for o in self.acts if o[:2]==(event,n)]: self.do(act)

    def do(self, act):
        self._busy = True
        self.done.append(act)
        try: act[2](self.learn)
        finally: self._busy = False

class Stumble(TrickCallback):
    "Is interrupted while it cleans up"
    def on_error(self, learn):
        super().on_error(learn)
        raise KeyboardInterrupt('again')

def validate(learn): assert len(learn.validate())==2, 'further columns'
def predict(learn): learn.predict(0)
def get_preds(learn): learn.get_preds(ds_idx=0)
def inner_preds(learn):
    "Predictions as part of the run that goes on: there must be an epoch"
    learn.get_preds(inner=hasattr(learn.recorder, 'log'))

def export(learn):
    with tempfile.TemporaryDirectory() as d:
        before,learn.path = learn.path,Path(d)
        try: learn.export()
        finally: learn.path = before

def caught(learn):
    "A validation that is interrupted, by somebody who goes on"
    try: learn.validate(cbs=Acts([('after_pred', 0, strike(KeyboardInterrupt('within')))], 0))
    except KeyboardInterrupt: pass

def fit(learn): learn.fit(1, 1e-3)
def broken_fit(learn):
    try: learn.fit(1, 1e-3, cbs=Acts([('after_loss', 1, strike(RuntimeError('CUDA out of memory')))], 0))
    except RuntimeError: pass

def strike(exc):
    def act(learn): raise exc
    return act

harmless = [validate, get_preds, predict, inner_preds, caught, export]
moving = [fit, broken_fit]

def draw_tricks(rng):
    "Functions that give callbacks"
    res = [rng.choice([None, lambda: MixUp(.4), lambda: CutMix(1.), lambda: MixSwitch()]),
           rng.choice([None, lambda: LabelSmoothing(.1, p=.7)]),
           rng.choice([None, lambda: Distill(teacher, T=4.), lambda: Distill(teacher, T=4., features={'0.0':'0.0'})]),
           rng.choice([None, NoBiasDecay]),
           rng.choice([None, lambda: DataWait(verbose=False)])]
    return [o for o in res if o]

def draw_others(rng):
    "Functions that give callbacks of others', or of precision"
    amp = rng.choice([None, None, partial(AMP, 'bf16'), partial(AMP, 'fp16'), partial(MixedPrecision, 'bf16')])
    return [o for o in (amp, rng.choice([None, None, partial(GradientAccumulation, 16)])) if o]

def draw_acts(rng, kinds, n=2):
    "What is done, and when"
    events = [o for o in fit_events if o!='after_loss'] # who changes the loss before others must be added to it
    return [(rng.choice(events), rng.choice([0,0,1,2]), rng.choice(kinds)) for _ in range(n)]

def run(spec, cbs, acts, order):
    "A Learner after a fit in which `acts` were done, and what came out of it"
    learn = silent_learner(spec).add_cbs(cbs)
    learn.add_cb(Acts(acts, order))
    try: getattr(learn, spec.fit)(2, .02)
    except BaseException as e: return learn,e # what is drawn may be too much for a plain Learner as well
    return learn,None

def check_clean(learn, plain, mine):
    "`learn`, without callbacks named `mine`, is as `plain`"
    assert runs_of(learn)==[] and count_hooks(learn.model)==0
    a,b = learner_state(plain),learner_state(learn, mine)
    for k in a: assert a[k]==b[k], f'{k}: {b[k]}, a plain Learner has {a[k]}'
    assert len(learn.metrics)==1 and all(o.training for o in teacher.modules())
    opt = getattr(learn.opt, 'opt', None)
    assert opt is None or not opt._optimizer_step_pre_hooks
    learn.remove_cbs([o for o in learn.cbs if isinstance(o, (Acts,Stumble))])
    learn.fit(1, 1e-2)
    assert len(learn.recorder.losses)==4 and len(learn.validate())==2

def draw(i):
    rng = random.Random(i)
    spec = check_spec(seed=i, metrics=[accuracy], fit=rng.choice(['fit','fit_one_cycle','fit_warmup_cos']),
                      **rng.choice([{}, dict(opt_func=nag)]))
    return rng,spec,draw_tricks(rng),draw_others(rng),rng.choice([Order.FIRST, -1, Order.LOSS, 20, Order.LAST])

def check_harmless(i):
    "Validations change nothing of case `i`"
    rng,spec,tricks,others,order = draw(i)
    acts = draw_acts(rng, harmless, 3)
    a,_ = run(spec, [f() for f in tricks+others], [], order)
    b,e = run(spec, [f() for f in tricks+others], acts, order)
    assert e is None and b.acts.done, acts
    assert same_trail(trail(a), trail(b)), f'{b.acts.done} at {order} change the training with {b.cbs}'
    assert a.recorder.lrs==b.recorder.lrs and a.recorder.values[-1][:2]==b.recorder.values[-1][:2]
    return len(b.acts.done)

def check_left(i):
    "After cancels, fits and interrupts case `i` is as a plain Learner"
    rng,spec,tricks,others,order = draw(i)
    kinds = [*moving, *harmless, *[strike(o) for o in cancels.values()],
             strike(KeyboardInterrupt('stop')), strike(RuntimeError('CUDA out of memory'))]
    acts = draw_acts(rng, kinds, 3)
    twice = rng.random()<.3
    ours = [f() for f in tricks]
    plain,e1 = run(spec, [f() for f in others], acts, order)
    learn,e2 = run(spec, [*([Stumble()] if twice else []), *ours, *[f() for f in others]], acts, order)
    assert type(e1) is type(e2) and str(e1)==str(e2), f'{e2!r}, a plain Learner gives {e1!r}'
    n = len(learn.acts.done)
    check_clean(learn, plain, {o.name for o in [*ours, Stumble()]})
    return n

def check_all(n, f):
    done = 0
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for i in range(n):
            try: done += f(i)
            except Exception as e: raise AssertionError(f'case {i}: {type(e).__name__}: {e}') from e
    assert done>n

checks = pytest.mark.parametrize('check', [check_harmless, check_left])

@checks
def test_runs_within_runs(check): check_all(12, check)

@pytest.mark.slow
@checks
def test_many_runs_within_runs(check): check_all(400, check)
