"Exported Learners that were written before the chapters, when modules had other names, load and predict"
import gzip, warnings
from importlib import import_module
from pathlib import Path
import pytest, torch
from fastai.vision.all import load_learner
from fastai_tricks.moved import chapter_of

# Their weights are a formula of their place, so that they are small
files = sorted((Path(__file__).parent/'old').glob('*.pkl.gz'))

@pytest.mark.parametrize('file', files, ids=lambda p: p.name)
def test_an_old_export_loads(file, tmp_path):
    plain = tmp_path/file.stem
    plain.write_bytes(gzip.decompress(file.read_bytes()))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        learn = load_learner(plain)
    for i,p in enumerate(learn.model.parameters()): assert torch.equal(p, torch.full_like(p, .01*(i%7-2)))
    channels = next(o.shape[1] for o in learn.model.parameters() if o.ndim==4)
    with torch.no_grad(): out = learn.model.eval()(torch.zeros(1, channels, 64, 64))
    assert isinstance(out, torch.Tensor) and len(out)==1
    assert [o for o in learn.cbs if getattr(o, 'in_export', None) is False]==[]

known = dict(core='Spec', mixup='MixUp', data='tiny_dls', resnet='resnet18d', optim='nag', ablation='ablate')

@pytest.mark.parametrize('old,name', known.items())
def test_old_modules_lead_to_the_rooms(old, name):
    import fastai_tricks.all as ours
    assert getattr(import_module(f'fastai_tricks.{old}'), name) is getattr(ours, name)

def test_a_name_that_never_was_is_an_error():
    with pytest.raises(AttributeError, match='had no `nothing`'): import_module('fastai_tricks.mixup').nothing
    assert set(chapter_of.values())<={'base','data','train','model','target','evidence','transfer'}
