"The paper's other two networks, Inception-V3 (with its auxiliary output) and MobileNet, train for an epoch under the same refinements"
import warnings
import pytest, timm, torch, torchvision
import torch.nn.functional as F
from functools import partial
from fastai.callback.progress import ProgressCallback
from fastai.vision.all import Callback, CrossEntropyLossFlat, noop
from fastai_tricks.base.trial import check_dls
from fastai_tricks.base.run import Spec
from fastai_tricks.base.bag import bag
from fastai_tricks.target.target import batch_target
import fastai_tricks.all # registers the tricks

tv = torchvision.models

def main_out(preds): return preds if isinstance(preds, torch.Tensor) else preds[0]

class Aux(Callback):
    "Let an auxiliary output learn too, at .4 of the main loss, from the same targets; whoever looks at `pred` sees the main output"
    order = 5 # after the target tricks, which make the training loss, and before accumulation, which divides it
    def after_pred(self):
        if not isinstance(self.pred, torch.Tensor): self.learn.pred,self._aux = self.pred
    def after_loss(self):
        if not self.training: return
        aux_loss = batch_target(self.learn).loss(self.loss_func, self._aux)
        self.learn.loss_grad = self.learn.loss_grad + .4*aux_loss
        self.learn.loss = self.learn.loss_grad.clone()

def tricks(level):
    "The efficient-training tricks; with 'refined' the training refinements as well"
    names = ['warmup_cosine','nag','no_bias_decay']
    if level=='refined': names += ['label_smoothing','mixup']
    return bag(*names)

both = pytest.mark.parametrize('level', ['efficient','refined'])

def trained(level, arch, size, extra=(), cbs=(), n=8, bs=2):
    "One epoch; returns the Learner and whether each parameter moved"
    dls = partial(check_dls, bs=bs, n=n, n_valid=2, size=size)
    spec = (tricks(level)+bag(*extra)).apply(Spec(dls, arch, loss_func=CrossEntropyLossFlat(), cbs=cbs, n_epoch=1, seed=1, metrics=()))
    learn = spec.learner().remove_cb(ProgressCallback)
    learn.logger = noop
    was = {k: o.detach().clone() for k,o in learn.model.named_parameters()}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        spec.train(learn)
    assert all(torch.isfinite(o).all() for o in learn.model.parameters())
    return learn, {k: not torch.equal(o, was[k]) for k,o in learn.model.named_parameters()}

def held(learn):
    "The rate warmed up and fell, and validation saw the main output and true labels"
    lrs = learn.recorder.hps['lr']
    assert lrs[-1]<max(lrs)
    learn.model.eval()
    with torch.no_grad(): tot = sum(float(F.cross_entropy(main_out(learn.model(x.as_subclass(torch.Tensor))), y.as_subclass(torch.Tensor)))*len(x) for x,y in learn.dls.valid)
    logged = dict(zip(learn.recorder.metric_names[1:], learn.recorder.values[-1]))['valid_loss']
    assert abs(logged-tot/2)<1e-4*max(1, abs(logged))


@both
@pytest.mark.parametrize('arch,blocks', [(tv.mobilenet_v2,10), (tv.mobilenet_v3_small,6), ('mobilenetv1_100',0), ('mobilenetv2_050',10)], ids=['tv_v2','tv_v3_small','timm_v1','timm_v2'])
def test_mobilenet(level, arch, blocks):
    learn,moved = trained(level, arch, 32, extra=['zero_gamma'] if blocks else [])
    held(learn)
    assert sum(moved.values())>.9*len(moved)

@both
def test_inception_with_auxiliary_output(level):
    learn,moved = trained(level, partial(tv.inception_v3, aux_logits=True, init_weights=True), 299, cbs=(Aux,), n=4)
    held(learn)
    assert moved['fc.weight'] and moved['AuxLogits.fc.weight'] and moved['Conv2d_1a_3x3.conv.weight']

@both
def test_inception_timm(level):
    learn,moved = trained(level, 'inception_v3', 96, n=4)
    held(learn)
    assert moved['fc.weight'] and moved['Conv2d_1a_3x3.conv.weight']

@both
def test_inception_timm_with_auxiliary_output(level):
    def build(n_out, c_in): return timm.create_model('inception_v3', num_classes=n_out, in_chans=c_in, aux_logits=True)
    learn,moved = trained(level, build, 299, cbs=(Aux,), n=4)
    held(learn)
    assert moved['AuxLogits.fc.weight']
