"""fastai's own `to_fp16` and `to_bf16`, and ours, with every trick.
The training runs, and autocast is off after it and after an interrupt."""
import warnings
import pytest, torch
from fastai.learner import Learner
from fastai.callback.fp16 import MixedPrecision
from fastai_tricks.all import bag, tricks
from fastai_tricks.base.trial import CheckNet, Strike, check_spec, silent_learner
from fastai_tricks.base.amp import AMP

for_resnets = {'resnet_b','resnet_c','resnet_d','zero_gamma'}
ways = dict(
    to_fp16=Learner.to_fp16,
    to_bf16=Learner.to_bf16,
    amp_fp16=lambda learn: learn.add_cb(AMP('fp16', init_scale=256.)),
    amp_bf16=lambda learn: learn.add_cb(AMP('bf16')),
)

def resnet(n_out, c_in=3):
    from torchvision.models import resnet18
    return resnet18(num_classes=n_out)

def built(name):
    "A Learner with trick `name`"
    trick = tricks.distill(CheckNet(4), T=4.) if name=='distill' else tricks[name]
    spec = check_spec(arch=resnet, splitter=lambda m: [list(m.parameters())]) if name in for_resnets else check_spec()
    return silent_learner(bag(trick).apply(spec))

@pytest.mark.parametrize('name', sorted(tricks))
def test_low_precision_with(name):
    for way,change in ways.items():
        if way=='amp_fp16' and name in for_resnets: continue # fp16 is emulated on a CPU: minutes for a ResNet
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            learn = built(name)
            chosen = any(isinstance(o, MixedPrecision) for o in learn.cbs) # by the trick
            if not chosen: learn = change(learn)
            learn.fit(1, .01)
            assert learn.recorder.losses[-1].isfinite()
            strike = Strike('after_pred', KeyboardInterrupt(), 50, n=0)
            with pytest.raises(KeyboardInterrupt): learn.fit(1, .01, cbs=strike)
        assert not any(torch.is_autocast_enabled(o) for o in ('cpu','cuda'))
