"What only a fresh process shows: imports, names, the files of a wheel"
import json, os, subprocess, sys, tarfile, venv, zipfile
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
def built(tmp_path_factory):
    "(wheel, sdist), the wheel built from the sdist, so a file missing there is seen"
    d = tmp_path_factory.mktemp('wheel')
    r = subprocess.run([sys.executable, '-m', 'build', '--no-isolation', '--outdir', str(d), str(root)], capture_output=True, text=True, timeout=600)
    assert r.returncode==0, r.stdout[-2000:]+r.stderr[-2000:]
    return next(d.glob('*.whl')),next(d.glob('*.tar.gz'))

assets = ['effects.csv','fashion_mnist.npz','LICENSE-fashion-mnist','recipes.toml','report.html']

def test_wheel_holds_the_assets_and_is_small(built):
    wheel,_ = built
    names = zipfile.ZipFile(wheel).namelist()
    for o in assets: assert f'fastai_tricks/assets/{o}' in names
    for p in (root/'fastai_tricks').glob('*.py'): assert f'fastai_tricks/{p.name}' in names, p.name
    assert not [o for o in names if o.startswith(('nbs/','tests/','tools/','benchmarks/'))]
    assert wheel.stat().st_size < 5.5*2**20

def test_sdist_holds_what_it_is_built_from(built):
    _,sdist = built
    with tarfile.open(sdist) as f: names = {o.split('/', 1)[1] for o in f.getnames() if '/' in o}
    assert {'settings.ini','setup.py','pyproject.toml','README.md','LICENSE'} <= names
    assert {f'fastai_tricks/assets/{o}' for o in assets} <= names

def test_wheel_says_what_it_needs(built):
    with zipfile.ZipFile(built[0]) as f: meta = f.read(next(o for o in f.namelist() if o.endswith('METADATA'))).decode()
    needs = [o.removeprefix('Requires-Dist: ') for o in meta.splitlines() if o.startswith('Requires-Dist')]
    assert any(o.startswith('fastai') for o in needs) and not [o for o in needs if '<' in o.split(';')[0]] # no upper pins of ours
    assert 'License-Expression: Apache-2.0' in meta and 'Requires-Python: >=3.10' in meta

def clean_env():
    "Without anything that would let this checkout be found"
    return {**{k:v for k,v in os.environ.items() if k not in ('PYTHONPATH','PYTHONHOME','VIRTUAL_ENV')}, 'PYTHONWARNINGS':'ignore'}

@pytest.fixture(scope='module')
def installed(built, tmp_path_factory):
    "An environment of its own that holds this wheel and borrows everything else, so nothing is downloaded"
    d = tmp_path_factory.mktemp('env')
    venv.create(d/'env', with_pip=False)
    bin = d/'env'/('Scripts' if os.name=='nt' else 'bin')
    site = Path(subprocess.run([bin/'python', '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))'], capture_output=True, text=True, check=True).stdout.strip())
    subprocess.run([sys.executable, '-m', 'pip', '--python', bin/'python', 'install', '-q', '--no-deps', '--no-index', str(built[0])], check=True, timeout=300, cwd=d, env=clean_env()) # or pip finds this checkout, and is content
    (site/'borrowed.pth').write_text('\n'.join(o for o in sys.path if 'site-packages' in o)) # after the wheel's own folder; editable installs are not among them
    return bin,d

def test_wheel_works_in_an_environment_of_its_own(installed, tmp_path):
    bin,d = installed
    code = '''
import json
from fastai.vision.all import *
from fastai_tricks.all import *
import fastai_tricks
dls = tiny_dls(n_train=60, n_valid=40, bs=20, seed=1)
net = nn.Sequential(nn.Flatten(), nn.Linear(784, dls.c))
learn = Learner(dls, net, opt_func=nag, metrics=accuracy, cbs=[MixUp(.2), LabelSmoothing(.1), NoBiasDecay()])
with learn.no_bar(), learn.no_logging(): learn.fit_warmup_cos(2, .01, warmup_epochs=.5)
print(json.dumps([fastai_tricks.__file__, len(learn.recorder.losses), len(recipes()), len(effects())]))'''
    r = subprocess.run([bin/'python', '-c', code], cwd=tmp_path, capture_output=True, text=True, timeout=600, env=clean_env())
    assert r.returncode==0, r.stderr[-2000:]
    where,steps,n_recipes,n_effects = json.loads(r.stdout.splitlines()[-1])
    assert where.startswith(str(d)) and steps==6 and n_recipes>3 and n_effects>3

def test_the_command_is_installed(installed, tmp_path):
    r = subprocess.run([installed[0]/'fastai-tricks', 'list'], cwd=tmp_path, capture_output=True, text=True, timeout=600, env=clean_env())
    assert r.returncode==0 and 'mixup' in r.stdout, r.stderr[-2000:]
