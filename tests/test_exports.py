"""Exports of Learners that hold something of every kind the package has, read where it is not.

A new public callback, optimizer, batch transform or metric is covered by itself."""
import inspect, pickle, subprocess, sys
from functools import partial
import pytest
from torch import nn
from fastai.vision.all import (Callback, CrossEntropyLossFlat, Learner, Metric, RandTransform, accuracy,
                               vision_learner)
import fastai_tricks.all as package
from fastai_tricks.base.export import names_in_export
from fastai_tricks.data.memory import in_memory
from fastai_tricks.data.samples import tiny_arrays, tiny_dls
from fastai_tricks.train.optim import OptFunc

images = list(tiny_arrays()['valid_x'][:8])
small = partial(tiny_dls, bs=16, n_train=32, n_valid=16)

def net():
    body = [nn.Conv2d(1, 4, 3, 2), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(4, 10))

def learner(**kwargs): return Learner(small(), net(), loss_func=CrossEntropyLossFlat(), **kwargs)

def public(base):
    "The public classes of the package under `base`"
    names = vars(package).items()
    ours = [o for k,o in names if inspect.isclass(o) and o.__module__.startswith('fastai_tricks')]
    return [o for o in ours if issubclass(o, base)]

# What a class cannot be made without
needed = dict(
    AMP=lambda: ('bf16',),
    Checkpoint=lambda: ('checkpoints',),
    Distill=lambda: (net(),),
    Mixer=lambda: (1.,),
    Ranks=lambda: (1,),
    PixelAccuracy=lambda: (3,),
    MeanIoU=lambda: (3,),
    WarmupSched=lambda: (max, [.1]),
)

def made(cls): return cls(*needed.get(cls.__name__, tuple)())

def with_callback(cls):
    learn = learner()
    learn.cbs.append(made(cls)) # not every one fits to this Learner, and its export needs no fit
    return learn

class ExportOnce(Callback):
    "Export in the middle of a fit, while callbacks have set their hooks"
    in_export = False
    def __init__(self, file): self.file = file
    def after_batch(self):
        if self.training and self.train_iter==1: self.learn.export(self.file)

def with_teacher(file):
    learn = learner(cbs=[package.Distill(net(), features={'0':'0'}), package.NoBiasDecay()], opt_func=package.nag)
    learn.path = file.parent
    with learn.no_bar(), learn.no_logging(): learn.fit_warmup_cos(1, 1e-2, cbs=ExportOnce(file.name))
    return learn

def fine_tuned():
    return package.recipe('fine-tune').learner(small(), 'resnet10t', model_kw=dict(pretrained=False), verbose=False)

def cases():
    "Names to functions that give a Learner"
    res = dict(memory=lambda: Learner(in_memory(small()), net(), loss_func=CrossEntropyLossFlat()))
    cbs = [o for o in public(Callback) if not o.in_export] # a detector cannot be called without `BoxTargets`
    for o in cbs: res[o.__name__] = partial(with_callback, o)
    for o in public(RandTransform): res[o.__name__] = partial(with_transform, o)
    for o in public(Metric): res[o.__name__] = lambda o=o: learner(metrics=[accuracy, made(o)])
    for k,o in vars(package).items():
        if isinstance(o, OptFunc): res[k] = partial(learner, opt_func=o)
    res['resized'] = lambda: Learner(small(batch_tfms=package.BatchResizedCrop((11,7))), net())
    res['vision_learner'] = lambda: vision_learner(small(), package.resnet18d, n_in=1, pretrained=False)
    res['fine-tune'] = fine_tuned
    return res

def with_transform(cls): return Learner(small(batch_tfms=cls()), net())

reader = """
import pickle, sys, warnings
from pathlib import Path
sys.modules['fastai_tricks'] = None
warnings.simplefilter('ignore')
from fastai.vision.all import *
images,answers = pickle.loads((Path(sys.argv[1])/'answers').read_bytes())
for file in sorted(Path(sys.argv[1]).glob('*.pkl')):
    try:
        learn = load_learner(file)
        with learn.no_bar(): again = learn.get_preds(dl=learn.dls.test_dl(images))[0]
        if file.stem not in answers: continue
        preds,n_groups = answers[file.stem]
        if not torch.equal(again, preds): print(file.stem, 'predicts something else')
        if len(learn.splitter(learn.model))!=n_groups: print(file.stem, 'has other groups')
    except BaseException as e: print(file.stem, type(e).__name__, str(e)[:200])
print('read')
"""

def answer(learn):
    "What the Learner predicts, and how many groups it has"
    for cb in [o for o in learn.cbs if getattr(o, 'in_export', True) is False]: learn.remove_cb(cb)
    with learn.no_bar(): preds = learn.get_preds(dl=learn.dls.test_dl(images))[0]
    return preds,len(learn.splitter(learn.model))

@pytest.mark.filterwarnings('ignore')
def test_an_export_holds_nothing_of_the_package_and_predicts_the_same_without_it(tmp_path):
    answers = {}
    for name,make in cases().items():
        learn,file = make(),tmp_path/f'{name}.pkl'
        learn.path = tmp_path
        learn.export(file.name)
        assert names_in_export(file)==[], name
        answers[name] = answer(learn)
    with_teacher(tmp_path/'midway.pkl')
    assert names_in_export(tmp_path/'midway.pkl')==[]
    assert len(answers)>25
    (tmp_path/'answers').write_bytes(pickle.dumps((images,answers)))
    run = subprocess.run([sys.executable, '-c', reader, str(tmp_path)], capture_output=True, text=True)
    assert run.stdout=='read\n', run.stdout+run.stderr[-2000:]
