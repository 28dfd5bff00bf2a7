"What holds for every callback of the package"
import inspect, pkgutil, tempfile
from functools import partial
from importlib import import_module
import pytest
from fastai.callback.core import Callback
from fastai.metrics import accuracy
import fastai_tricks
from fastai_tricks.base.order import Order
from fastai_tricks.base.companions import Inside
from fastai_tricks.base.trial import CheckNet, check_spec, same_trail, silent_learner, trail

def callbacks():
    "Every callback class that a room of the package defines"
    for room in pkgutil.walk_packages(fastai_tricks.__path__, 'fastai_tricks.'):
        for o in vars(import_module(room.name)).values():
            if inspect.isclass(o) and issubclass(o, Callback) and o.__module__==room.name: yield o

def test_every_callback_says_whether_an_export_keeps_it():
    assert [o for o in callbacks() if not isinstance(getattr(o, 'in_export', None), bool)]==[]

def test_every_order_has_a_name():
    named = {v for k,v in vars(Order).items() if k.isupper()}
    ours = [o for o in callbacks() if 'order' in vars(o)]
    assert len(ours)>5 and [(o.__name__, o.order) for o in ours if o.order not in named]==[]

# What a class cannot be made without; None: made otherwise, for several processes, or to break a fit
needed = dict(
    AMP=('bf16',), Compiled=('aot_eager',), # what inductor generates gives other last bits in a second run
    Checkpoint=None, Distill=None, Mixer=None, WarmupSched=None,
    Ranks=None, RanksFirst=None, RanksLast=None,
    BeforeFirstStep=None, FirstBatches=None, FirstSteps=None, Overflow=None, Strike=None)
of_boxes_and_masks = {'AuxLoss', 'BoxMixUp', 'BoxRules', 'BoxTargets', 'MaskCheck'}
base_classes = {'Mixer', 'TargetCallback', 'TrickCallback'}

def alone(tmp_path):
    "Functions that give one callback each, of all that can be made and stand in a fit of images with labels"
    teacher = CheckNet(4)
    own = dict(
        Checkpoint=lambda o: o(tempfile.mkdtemp(dir=tmp_path)),
        Distill=lambda o: o(teacher, features={'0.0':'0.0'}))
    for o in dict.fromkeys(callbacks()):
        name = o.__name__
        if name.startswith('_') or name in of_boxes_and_masks|base_classes: continue
        if name in own: yield partial(own[name], o)
        elif needed.get(name, ()) is not None and _makes(o): yield partial(o, *needed.get(name, ()))

def _makes(cls):
    "Can it be made with what `needed` gives?"
    try: cls(*needed.get(cls.__name__, ()))
    except TypeError: return False
    return True

@pytest.mark.filterwarnings('ignore')
def test_every_callback_is_re_entrant(tmp_path):
    "A validation at every event of a fit changes nothing, whichever callback stands beside it"
    def trained(make, *cbs):
        learn = silent_learner(check_spec(metrics=[accuracy])).add_cbs([make(), *cbs])
        learn.path = tmp_path
        learn.fit(1, .02)
        return trail(learn)
    names = []
    for make in alone(tmp_path):
        inside = Inside()
        assert same_trail(trained(make), trained(make, inside)), make
        assert {len(o) for o in inside.records}=={2}, make
        names.append(make().name)
    assert len(names)>10 and {'mix_up','distill','no_bias_decay','data_wait','label_smoothing'}<=set(names), names
