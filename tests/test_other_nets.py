"The paper's other networks, Inception-V3 (with its auxiliary output) and MobileNet, train under the same refinements"
import warnings
from functools import partial
import pytest, timm, torch, torchvision
import torch.nn.functional as F
from fastai.vision.all import Callback, CrossEntropyLossFlat
from fastai_tricks.base.bag import bag
from fastai_tricks.base.run import Spec
from fastai_tricks.base.trial import check_dls, silent_learner
from fastai_tricks.target.target import batch_target
import fastai_tricks.all # registers the tricks

tv = torchvision.models
efficient = ['warmup_cosine','nag','no_bias_decay']
levels = dict(efficient=efficient, refined=efficient+['label_smoothing','mixup'])
both = pytest.mark.parametrize('level', levels)

def main_output(preds): return preds if isinstance(preds, torch.Tensor) else preds[0]

class Aux(Callback):
    """Let an auxiliary output learn too, at .4 of the main loss, from the same targets.
    Whoever looks at `pred` sees the main output."""
    order = 5 # after the target tricks, which make the training loss, and before accumulation, which divides it
    def after_pred(self):
        if not isinstance(self.pred, torch.Tensor): self.learn.pred,self._aux = self.pred

    def after_loss(self):
        if not self.training: return
        aux_loss = batch_target(self.learn).loss(self.loss_func, self._aux)
        self.learn.loss_grad = self.learn.loss_grad + .4*aux_loss
        self.learn.loss = self.learn.loss_grad.clone()

def trained(level, arch, size, further=(), cbs=(), n=8, bs=2):
    "One epoch; returns the Learner and whether each parameter moved"
    dls = partial(check_dls, bs=bs, n=n, n_valid=2, size=size)
    plain = Spec(dls, arch, loss_func=CrossEntropyLossFlat(), cbs=cbs, n_epoch=1, seed=1, metrics=())
    spec = bag(*levels[level], *further).apply(plain)
    learn = silent_learner(spec)
    before = {k: o.detach().clone() for k,o in learn.model.named_parameters()}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        spec.train(learn)
    assert all(torch.isfinite(o).all() for o in learn.model.parameters())
    return learn, {k: not torch.equal(o, before[k]) for k,o in learn.model.named_parameters()}

def check_rates(learn):
    "The rate warmed up and fell"
    lrs = learn.recorder.hps['lr']
    assert lrs[-1]<max(lrs)

@torch.no_grad()
def check_validation(learn):
    "Validation saw the main output and true labels"
    learn.model.eval()
    plain = lambda o: o.as_subclass(torch.Tensor)
    losses = [F.cross_entropy(main_output(learn.model(plain(x))), plain(y))*len(x) for x,y in learn.dls.valid]
    expected = float(sum(losses))/len(learn.dls.valid_ds)
    logged = dict(zip(learn.recorder.metric_names[1:], learn.recorder.values[-1]))['valid_loss']
    assert abs(logged-expected)<1e-4*max(1, abs(logged))

def check(learn):
    check_rates(learn)
    check_validation(learn)

mobilenets = dict(
    tv_v2=(tv.mobilenet_v2, ['zero_gamma']),
    tv_v3_small=(tv.mobilenet_v3_small, ['zero_gamma']),
    timm_v1=('mobilenetv1_100', []),
    timm_v2=('mobilenetv2_050', ['zero_gamma']),
)

@both
@pytest.mark.parametrize('arch,further', mobilenets.values(), ids=mobilenets)
def test_mobilenet(level, arch, further):
    learn,moved = trained(level, arch, 32, further)
    check(learn)
    assert sum(moved.values())>.9*len(moved)

@both
def test_inception_with_auxiliary_output(level):
    arch = partial(tv.inception_v3, aux_logits=True, init_weights=True)
    learn,moved = trained(level, arch, 299, cbs=(Aux,), n=4)
    check(learn)
    assert moved['fc.weight'] and moved['AuxLogits.fc.weight'] and moved['Conv2d_1a_3x3.conv.weight']

@both
def test_inception_timm(level):
    learn,moved = trained(level, 'inception_v3', 96, n=4)
    check(learn)
    assert moved['fc.weight'] and moved['Conv2d_1a_3x3.conv.weight']

@both
def test_inception_timm_with_auxiliary_output(level):
    def build(n_out, c_in): return timm.create_model('inception_v3', num_classes=n_out, in_chans=c_in, aux_logits=True)
    learn,moved = trained(level, build, 299, cbs=(Aux,), n=4)
    check(learn)
    assert moved['AuxLogits.fc.weight']
