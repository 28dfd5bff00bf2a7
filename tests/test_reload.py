"Modules that are loaded again, and pages run in one process: what stands in one place stays right for everybody else"
import importlib, json, os, sys, tempfile, traceback
from pathlib import Path
from types import SimpleNamespace
import pytest

root = Path(__file__).resolve().parent.parent
package_dir = root/'fastai_tricks'
files = [o for o in sorted(package_dir.rglob('[!_]*.py')) if o.stem!='all']
names = ['.'.join(o.relative_to(package_dir).with_suffix('').parts) for o in files]

def learner(ours):
    "A Learner with many tricks of `ours`"
    from fastai.vision.all import CrossEntropyLossFlat, GradientAccumulation, Learner, accuracy, set_seed
    from fastai_tricks.base.trial import CheckNet, check_dls
    set_seed(3)
    cbs = [ours.MixUp(.4), ours.LabelSmoothing(.1), ours.Distill(CheckNet(4), T=4.), ours.NoBiasDecay()]
    learn = Learner(check_dls(), CheckNet(4), CrossEntropyLossFlat(), opt_func=ours.nag, metrics=accuracy,
                    cbs=[*cbs, GradientAccumulation(16)])
    learn.remove_cbs([o for o in learn.cbs if o.name=='progress'])
    learn.logger = lambda *args: None
    return learn

def interruption(epoch):
    "A callback that stops training after `epoch`, as Ctrl-C does; never if it is None"
    from fastai.vision.all import Callback
    class Stop(Callback):
        order,in_identity = 10**7,False # it only watches
        def after_epoch(self):
            if self.epoch==epoch: raise KeyboardInterrupt
    return Stop()

def trained(ours):
    """What a training with many tricks of `ours` leaves, that is interrupted and resumed:
    losses, bytes of its export, a recipe, the register, a bag's rows"""
    with tempfile.TemporaryDirectory() as d:
        learn = learner(ours)
        learn.lr_find(num_it=6, show_plot=False)
        try: learn.fit_warmup_cos(2, .1, warmup_epochs=.5, cbs=[ours.Checkpoint(d), interruption(0)])
        except KeyboardInterrupt: pass
        learn = learner(ours)
        learn.resume(d, cbs=interruption(None))
        learn.path = Path(d)
        learn.export('all.pkl')
        size = (learn.path/'all.pkl').stat().st_size
    losses = [float(o) for o in learn.recorder.losses]
    rows = ours.bag('mixup', ours.LabelSmoothing(.2)).diff()
    return [losses, size, repr(ours.recipe('paper-efficient')), sorted(ours.tricks), rows]

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
    with os.fdopen(r) as f: answer = f.read()
    os.waitpid(pid, 0)
    return json.loads(answer) if answer else None

def package():
    "What users have after `from fastai_tricks.all import *`, the other modules loaded as well"
    import fastai_tricks.all as ours, fastai_tricks.cli
    return SimpleNamespace(**{o:getattr(ours, o) for o in ours.__all__})

def reloaded(names):
    "The training with what was imported before modules were loaded again, and with what they give now"
    ours = package()
    modules = [importlib.reload(importlib.import_module(f'fastai_tricks.{o}')) for o in names]
    before = trained(ours)
    for module in modules:
        for o in getattr(module, '__all__', ()): setattr(ours, o, getattr(module, o))
    return [before, trained(ours)]

@pytest.fixture(scope='module')
def expected():
    res = in_child(lambda: trained(package()))
    assert len(res[0])==8 and res[3]
    return res

def rooms(chapter): return [o for o in names if o.split('.')[0]==chapter]

@pytest.mark.parametrize('chapter', dict.fromkeys(o.split('.')[0] for o in names))
def test_a_chapter_that_was_reloaded(expected, chapter):
    assert in_child(lambda: reloaded(rooms(chapter)))==[expected, expected]

@pytest.mark.slow
@pytest.mark.parametrize('name', names)
def test_a_module_that_was_reloaded(expected, name): assert in_child(lambda: reloaded([name]))==[expected, expected]
