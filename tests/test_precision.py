"fastai's own `to_fp16` and `to_bf16`, and ours, with every trick: the training runs, and autocast is off after it and after an interrupt."
import warnings
import pytest, torch
from fastai.learner import Learner
from fastai.callback.fp16 import MixedPrecision
from fastai_tricks.all import bag, tricks
from fastai_tricks.base.trial import CheckNet, check_spec, silent_learner
from fastai_tricks.base.trial import Strike
from fastai_tricks.base.amp import AMP

needs = dict(distill=lambda: tricks.distill(CheckNet(4), T=4.))
alone = {'resnet_b','resnet_c','resnet_d','zero_gamma'} # are for ResNets
ways = dict(to_fp16=Learner.to_fp16, to_bf16=Learner.to_bf16, amp_fp16=lambda o: o.add_cb(AMP('fp16', init_scale=256.)), amp_bf16=lambda o: o.add_cb(AMP('bf16')))

def built(nm):
    t = needs.get(nm, lambda: tricks[nm])()
    spec = check_spec()
    if nm in alone:
        from torchvision.models import resnet18
        spec = check_spec(arch=lambda n_out, c_in=3: resnet18(num_classes=n_out), splitter=lambda m: [list(m.parameters())])
    return silent_learner(bag(t).apply(spec))

@pytest.mark.parametrize('nm', sorted(tricks))
def test_low_precision_with(nm):
    for name,way in ways.items():
        if name=='amp_fp16' and nm in alone: continue # fp16 is emulated on a CPU: minutes for a ResNet
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            learn = built(nm)
            if not any(isinstance(o, MixedPrecision) for o in learn.cbs): learn = way(learn) # a trick may have chosen
            learn.fit(1, .01)
            assert learn.recorder.losses[-1].isfinite()
            with pytest.raises(KeyboardInterrupt): learn.fit(1, .01, cbs=Strike("after_pred", KeyboardInterrupt(), 50, n=0))
        assert not any(torch.is_autocast_enabled(o) for o in ('cpu','cuda'))
