"Checkpoints that were written before the chapters are read, and their trainings go on to the same end"
import gzip, warnings
from functools import partial
from pathlib import Path
import pytest, torch
from fastai.vision.all import Callback, GradientAccumulation, accuracy
from fastai_tricks.all import Checkpoint, Distill, LabelSmoothing, MixUp, NoBiasDecay, nag, read_checkpoint
from fastai_tricks.base.amp import AMP
from fastai_tricks.base.trial import CheckNet, check_dls, check_spec, silent_learner, trail

old = Path(__file__).parent/'old'

class Stop(Callback):
    "Break off in batch `batch` of epoch `epoch`"
    not_state = ('place',)
    def __init__(self, epoch, batch): self.place = epoch,batch
    def after_batch(self):
        if self.training and (self.epoch,self.iter)==self.place: raise KeyboardInterrupt

def teacher():
    torch.manual_seed(0)
    return CheckNet(4)

def within_epoch(cbs=None):
    "A Learner, and how it trains: broken off within an accumulation, in the third epoch"
    tricks = [partial(MixUp, .4), LabelSmoothing, NoBiasDecay, partial(GradientAccumulation, 16)]
    return tricks, nag, lambda learn: learn.fit_warmup_cos(4, 1e-2, warmup_epochs=1, cbs=cbs)

def between_epochs(cbs=None):
    "With a teacher and loss scaling: broken off after the second epoch"
    tricks = [partial(Distill, teacher(), T=4.), partial(AMP, 'fp16', init_scale=2.**10, growth_interval=3)]
    return tricks, partial(nag, wd=1e-3), lambda learn: learn.fit_one_cycle(4, 1e-2, cbs=cbs)

def with_features(cbs=None):
    "A teacher whose inner answers are learned by a projection with an optimizer of its own: broken off within an epoch"
    tricks = [partial(Distill, teacher(), T=4., features={'0':'0'}), partial(GradientAccumulation, 16)]
    return tricks, nag, lambda learn: learn.fit_one_cycle(4, 1e-2, cbs=cbs)

def learner(tricks, opt):
    data = partial(check_dls, n=40, n_valid=16, bs=8)
    return silent_learner(check_spec(opt_func=opt, n_epoch=4, dls=data, metrics=accuracy, cbs=tuple(tricks)))

def trained(training, *cbs):
    "The Learner that `training` trained, as far as it came"
    tricks,opt,fit = training(list(cbs))
    learn = learner(tricks, opt)
    try: fit(learn)
    except KeyboardInterrupt: pass
    return learn

def results(learn):
    "Weights, losses, and all that was logged but the time"
    return [*trail(learn), *(torch.tensor(o[:-1]) for o in learn.recorder.values)]

trainings = [(within_epoch, 1, (2,2)), (between_epochs, 'epoch', (2,2)), (with_features, 1, (1,2))]

@pytest.mark.parametrize('training,every,stop', trainings, ids=[o[0].__name__ for o in trainings])
def test_an_old_training_goes_on(training, every, stop, tmp_path):
    file = tmp_path/'theirs.ckpt'
    file.write_bytes(gzip.decompress((old/f'{training.__name__}.ckpt.gz').read_bytes()))
    trained(training, Checkpoint(tmp_path/'ours', every=every, keep=1), Stop(*stop))
    theirs,ours = read_checkpoint(file),read_checkpoint(tmp_path/'ours')
    assert ours.keys()>=theirs.keys()-{'torch'} # among the settings now
    assert ours['state']['rng'].keys()>=theirs['state']['rng'].keys()-{'cuda'} # among the devices now

    tricks,opt,_ = training()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore') # another torch: the last digits may differ
        resumed = learner(tricks, opt).resume(file, cbs=Stop(99,0))
    # on a machine that computes as theirs did, to the last bit
    pairs = zip(theirs['state']['model'].values(), ours['state']['model'].values())
    alike = torch.equal if all(torch.equal(a, b) for a,b in pairs) else partial(torch.allclose, atol=1e-3)
    for a,b in zip(results(resumed), results(trained(training)), strict=True): assert alike(a, b)
