"What only a fresh process shows: imports, names, the files of a wheel"
import json, subprocess, sys, zipfile
from pathlib import Path
import pytest

root = Path(__file__).resolve().parent.parent

def python(code, cwd):
    "Run `code` in a process of its own; what it prints as JSON"
    r = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert r.returncode==0, r.stderr[-2000:]
    return json.loads(r.stdout.splitlines()[-1])

def test_import_starts_no_cuda_and_writes_no_file(tmp_path):
    code = '''
import json, os, sys
from fastai.vision.all import *
opened = []
sys.addaudithook(lambda ev,args: opened.append(str(args[0])) if ev=="open" and isinstance(args[1], str) and set(args[1]) & set("wax+") else None)
sys.dont_write_bytecode = True
import fastai_tricks
from fastai_tricks.all import *
print(json.dumps(dict(cuda=torch.cuda.is_initialized(), opened=opened, here=os.listdir())))'''
    assert python(code, tmp_path)==dict(cuda=False, opened=[], here=[])

def test_all_shadows_nothing_of_fastai_but_the_mixers(tmp_path):
    code = '''
import json
import fastai.vision.all as theirs, fastai_tricks.all as ours
print(json.dumps(sorted(o for o in ours.__all__ if hasattr(theirs, o) and getattr(theirs, o) is not getattr(ours, o))))'''
    assert set(python(code, tmp_path)) <= {'MixUp','CutMix'}

def test_all_has_the_contract(tmp_path):
    names = '''scale_lr nag NoBiasDecay decay_report resnet18a resnet34b resnet50c resnet101d resnet152d to_resnet_b to_resnet_c to_resnet_d zero_gamma smooth_labels LabelSmoothing
        mix MixUp CutMix distill_loss Distill trick bag Bag Spec ablate Ablation check_trick tiny_dls NoEffectWarning show_sched'''.split()
    code = f'''
import json, fastai_tricks.all as o
from fastai.vision.all import Learner
print(json.dumps([n for n in {names} if n not in o.__all__] + [n for n in ("fit_warmup_cos","fit_warmup_step","scale_lr","fine_tune_cos") if not hasattr(Learner, n)]))'''
    assert python(code, tmp_path)==[]

@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    d = tmp_path_factory.mktemp('wheel')
    r = subprocess.run([sys.executable, '-m', 'build', '--no-isolation', '--outdir', str(d), str(root)], capture_output=True, text=True, timeout=300)
    assert r.returncode==0, r.stdout[-2000:]+r.stderr[-2000:] # the wheel is built from the sdist, so a file missing there is seen
    return next(d.glob('*.whl'))

def test_wheel_holds_the_assets_and_is_small(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for o in ('fashion_mnist.npz','LICENSE-fashion-mnist','report.html'): assert f'fastai_tricks/assets/{o}' in names
    assert not [o for o in names if o.startswith(('nbs/','tests/','tools/'))]
    assert wheel.stat().st_size < 5.5*2**20

def test_wheel_works_without_the_checkout(wheel, tmp_path):
    subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--target', str(tmp_path/'site'), str(wheel)], check=True, timeout=300)
    code = f'''
import json, sys
sys.path.insert(0, {str(tmp_path/'site')!r})
import fastai_tricks.all as o
print(json.dumps([o.__file__, len(o.tiny_dls(n_train=20, n_valid=10).train_ds)]))'''
    where,n = python(code, tmp_path)
    assert where.startswith(str(tmp_path)) and n==20
