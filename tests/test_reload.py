"Modules that are loaded again, and pages run in one process: what stands in one place stays right for everybody else"
import importlib, json, os, sys, tempfile, traceback
from pathlib import Path
from types import SimpleNamespace
import pytest

root = Path(__file__).resolve().parent.parent
package_dir = root/'fastai_tricks'
names = ['.'.join(o.relative_to(package_dir).with_suffix('').parts) for o in sorted(package_dir.rglob('[!_]*.py')) if o.stem!='all']

def trained(ours):
    "Losses of a training with many tricks of `ours` that is interrupted and resumed, and what its export and an `lr_find` leave"
    from fastai.vision.all import Callback, CrossEntropyLossFlat, GradientAccumulation, Learner, accuracy, set_seed
    from fastai_tricks.base.trial import CheckNet, check_dls
    class Stop(Callback):
        order = 10**7
        def __init__(self, at): self.at = at
        def after_epoch(self):
            if self.epoch==self.at: raise KeyboardInterrupt
    def made(**kw):
        set_seed(3)
        cbs = [ours.MixUp(.4), ours.LabelSmoothing(.1), ours.Distill(CheckNet(4), T=4.), ours.NoBiasDecay(), GradientAccumulation(16)]
        learn = Learner(check_dls(), CheckNet(4), CrossEntropyLossFlat(), opt_func=ours.nag, metrics=accuracy, cbs=cbs)
        learn.remove_cbs([o for o in learn.cbs if o.name=='progress'])
        learn.logger = lambda *args: None
        return learn
    with tempfile.TemporaryDirectory() as d:
        learn = made()
        learn.lr_find(num_it=6, show_plot=False)
        try: learn.fit_warmup_cos(2, .1, warmup_epochs=.5, cbs=[ours.Checkpoint(d), Stop(0)])
        except KeyboardInterrupt: pass
        learn = made()
        learn.resume(d, cbs=Stop(None))
        learn.path = Path(d)
        learn.export('all.pkl')
        size = (learn.path/'all.pkl').stat().st_size
    rows = ours.bag('mixup', ours.LabelSmoothing(.2)).diff()
    return [[float(o) for o in learn.recorder.losses], size, repr(ours.recipe('paper-efficient')), sorted(ours.tricks), rows]

def in_child(f):
    "What `f` returns, computed in a fork"
    r,w = os.pipe()
    pid = os.fork()
    if not pid:
        try: os.write(w, json.dumps(f()).encode())
        except BaseException: traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(0)
    os.close(w)
    with os.fdopen(r) as f: said = f.read()
    os.waitpid(pid, 0)
    return json.loads(said) if said else None

def package():
    "What users have after `from fastai_tricks.all import *`, the other modules loaded as well"
    import fastai_tricks.all as ours, fastai_tricks.cli
    return SimpleNamespace(**{o:getattr(ours, o) for o in ours.__all__})

def reloaded(nm):
    "The training with what was imported before module `nm` was loaded again, and with what it gives now"
    ours = package()
    mod = importlib.reload(importlib.import_module(f'fastai_tricks.{nm}'))
    before = trained(ours)
    for o in mod.__all__: setattr(ours, o, getattr(mod, o))
    return [before, trained(ours)]

@pytest.fixture(scope='module')
def want():
    res = in_child(lambda: trained(package()))
    assert len(res[0])==8 and res[3]
    return res

@pytest.mark.parametrize('nm', names)
def test_a_module_that_was_reloaded(want, nm): assert in_child(lambda: reloaded(nm))==[want,want]
