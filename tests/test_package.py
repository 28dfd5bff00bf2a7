"What only a fresh process shows: imports, names, requirements, the files of a wheel"
import ast, configparser, inspect, json, os, re, signal, subprocess, sys, tarfile, zipfile
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
import pytest, tomlkit
from packaging.requirements import Requirement

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root/'tools'))
import matrix, stranger

def python(code, cwd):
    "Run `code` in a process of its own; what it prints as JSON"
    command = [sys.executable, '-W', 'ignore', '-c', code]
    r = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert r.returncode==0, r.stderr[-2000:]
    return json.loads(r.stdout.splitlines()[-1])

def test_import_starts_no_cuda_and_writes_no_file(tmp_path):
    code = '''
import json, os, sys
from fastai.vision.all import *
opened = []
def note(event, args):
    if event=="open" and isinstance(args[1], str) and set(args[1]) & set("wax+"): opened.append(str(args[0]))
sys.addaudithook(note)
sys.dont_write_bytecode = True
import fastai_tricks
from fastai_tricks.all import *
print(json.dumps(dict(cuda=torch.cuda.is_initialized(), opened=opened, here=os.listdir())))'''
    assert python(code, tmp_path)==dict(cuda=False, opened=[], here=[])

def test_all_shadows_nothing_of_fastai_but_the_mixers(tmp_path):
    code = '''
import json
import fastai.vision.all as theirs, fastai_tricks.all as ours
shadowed = [o for o in ours.__all__ if hasattr(theirs, o) and getattr(theirs, o) is not getattr(ours, o)]
print(json.dumps(shadowed))'''
    assert set(python(code, tmp_path)) <= {'MixUp','CutMix'}

contract = '''scale_lr nag NoBiasDecay decay_report resnet18a resnet34b resnet50c resnet101d resnet152d
    to_resnet_b to_resnet_c to_resnet_d zero_gamma smooth_labels LabelSmoothing mix MixUp CutMix distill_loss Distill
    trick bag Bag Spec ablate Ablation check_trick tiny_dls NoEffectWarning show_sched'''.split()
methods = 'fit_warmup_cos fit_warmup_step scale_lr fine_tune_cos'.split()

def test_all_has_the_contract(tmp_path):
    code = f'''
import json, fastai_tricks.all as ours
from fastai.vision.all import Learner
missing = [o for o in {contract} if o not in ours.__all__]
missing += [o for o in {methods} if not hasattr(Learner, o)]
print(json.dumps(missing))'''
    assert python(code, tmp_path)==[]

@pytest.fixture(scope='module')
def built(tmp_path_factory):
    "(wheel, sdist), the wheel built from the sdist, so a file missing there is seen"
    d = tmp_path_factory.mktemp('wheel')
    command = [sys.executable, '-m', 'build', '--no-isolation', '--outdir', str(d), str(root)]
    r = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert r.returncode==0, r.stdout[-2000:]+r.stderr[-2000:]
    return next(d.glob('*.whl')),next(d.glob('*.tar.gz'))

assets = ['effects.csv','fashion_mnist.npz','LICENSE-fashion-mnist','recipes.toml','report.html']

def test_wheel_holds_the_assets_and_is_small(built):
    wheel,_ = built
    names = zipfile.ZipFile(wheel).namelist()
    for o in assets: assert f'fastai_tricks/assets/{o}' in names
    for p in (root/'fastai_tricks').rglob('*.py'): assert p.relative_to(root).as_posix() in names, p.name
    assert not [o for o in names if o.startswith(('nbs/','tests/','tools/','benchmarks/'))]
    assert wheel.stat().st_size < 5.5*2**20

def test_sdist_holds_what_it_is_built_from(built):
    _,sdist = built
    with tarfile.open(sdist) as f: names = {o.split('/', 1)[1] for o in f.getnames() if '/' in o}
    assert {'settings.ini','setup.py','pyproject.toml','README.md','LICENSE'} <= names
    assert {f'fastai_tricks/assets/{o}' for o in assets} <= names
    # tests need notebooks and tools: they are the repository's
    assert not [o for o in names if o.startswith(('tests', 'nbs', 'tools', 'benchmarks'))]

def test_pypi_can_show_it(built):
    command = [sys.executable, '-m', 'twine', 'check', '--strict', *map(str, built)]
    r = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert r.returncode==0 and r.stdout.count('PASSED')==2, r.stdout+r.stderr

def test_wheel_says_what_it_needs(built):
    with zipfile.ZipFile(built[0]) as f: meta = f.read(next(o for o in f.namelist() if o.endswith('METADATA'))).decode()
    needs = [o.removeprefix('Requires-Dist: ') for o in meta.splitlines() if o.startswith('Requires-Dist')]
    assert any(o.startswith('fastai') for o in needs)
    assert not [o for o in needs if re.search('<|==|~=|!=', o.split(';')[0])] # no upper pins of ours
    assert 'License-Expression: Apache-2.0' in meta and 'Requires-Python: >=3.10' in meta

# Requirements: what the modules import against what settings.ini declares

def settings():
    "The section of settings.ini"
    cfg = configparser.ConfigParser(delimiters=['='])
    cfg.read(root/'settings.ini', encoding='utf-8')
    return cfg['DEFAULT']

def same_name(o): return re.sub('[-_.]+', '-', o).lower()

def declared(
    field, # Such as 'requirements', 'ray_requirements'
)->dict: # Distribution to Requirement
    return {same_name(o.name):o for o in map(Requirement, settings()[field].split())}

def extras():
    "Extra to the distributions that it brings; not the developers' own"
    fields = [o for o in settings() if o.endswith('_requirements') and o!='dev_requirements']
    return {o.removesuffix('_requirements'):set(declared(o)) for o in fields}

def distribution(
    module, # Such as 'PIL'
)->str: # Such as 'pillow'
    module = module.split('.')[0]
    return same_name(packages_distributions().get(module, [module])[0])

def ours(module): return module.split('.')[0] in {'fastai_tricks', *sys.stdlib_module_names}

def imports(tree):
    "Pairs of a module that `tree` imports and the handler that meets its absence, or None"
    met = {}
    for t in ast.walk(tree):
        if not isinstance(t, ast.Try): continue
        handlers = [h for h in t.handlers if h.type is not None and 'ImportError' in ast.unparse(h.type)]
        if handlers: met.update({n:handlers[0] for o in t.body for n in ast.walk(o)})
    for n in ast.walk(tree):
        if isinstance(n, ast.Import): yield from ((o.name, met.get(n)) for o in n.names)
        elif isinstance(n, ast.ImportFrom) and not n.level: yield n.module,met.get(n)

def undeclared(
    source, # Of a module
    required, # Distributions that are always there
    extras, # Extra to the distributions that it brings
)->list: # Modules that are imported and neither required, nor told by an error that names their extra, nor replaced
    res = []
    for module,handler in imports(ast.parse(source)):
        dist = distribution(module)
        if ours(module) or dist in required: continue
        at = [k for k,v in extras.items() if dist in v]
        named = handler and any(f'fastai_tricks[{k}]' in ast.unparse(handler) for k in at)
        replaced = handler and not any(isinstance(o, ast.Raise) for o in ast.walk(handler))
        if not at or not (named or replaced): res.append(module)
    return res

modules = [p for p in sorted((root/'fastai_tricks').rglob('*.py')) if p.stem!='_modidx']
with_star = [p for p in modules if p.stem not in ('all', '__init__')]

def room(p): return '.'.join(p.relative_to(root/'fastai_tricks').with_suffix('').parts)

@pytest.mark.parametrize('file', modules, ids=room)
def test_what_is_imported_is_declared(file):
    assert undeclared(file.read_text(encoding='utf-8'), declared('requirements'), extras())==[]

@pytest.mark.parametrize('source,found', [
    ('import numpy as np, os', []),
    ('from PIL import Image', []),
    ('from IPython.display import display', ['IPython.display']),
    ('def f():\n    import IPython', ['IPython']),
    ('try: import IPython\nexcept ImportError: IPython = None', []),
    ('try: import IPython\nexcept ImportError: raise', ['IPython']),
    ('try: import IPython\nexcept ValueError: IPython = None', ['IPython']),
    ('try: import ray\nexcept ImportError: raise ValueError("pip install fastai_tricks[ray]")', []),
    ('try: import ray\nexcept ImportError: raise ValueError("pip install fastai_tricks[notebook]")', ['ray']),
    ('try: import requests\nexcept ImportError: requests = None', ['requests']),
], ids=lambda o: ' '.join(o.split()) if isinstance(o, str) else '')
def test_an_undeclared_import_is_seen(source, found):
    assert undeclared(source, declared('requirements'), extras())==found

@pytest.mark.parametrize('file', with_star, ids=room)
def test_modules_that_a_star_brings_are_declared(file):
    "`np`, `pd`, `plt`, `Image` come with fastai's star, and are used as ours"
    module = import_module('.'.join(file.relative_to(root).with_suffix('').parts))
    used = {o.id for o in ast.walk(ast.parse(file.read_text(encoding='utf-8'))) if isinstance(o, ast.Name)}
    held = {getattr(module, o).__name__ for o in used if inspect.ismodule(getattr(module, o, None))}
    required = set(declared('requirements')).union(*extras().values())
    assert not [o for o in held if not ours(o) and distribution(o) not in required]

def test_every_requirement_has_a_floor_that_was_tried():
    floors = {k:str(v.specifier) for k,v in declared('requirements').items()}
    assert not [k for k,v in floors.items() if not re.fullmatch(r'>=[\d.]+', v)]
    table = (root/'CONTRIBUTING.md').read_text(encoding='utf-8').partition(matrix.begin)[2]
    lowest = [o for o in matrix.read_table(table) if o['resolution']=='lowest-direct' and o['result']=='passes']
    assert lowest
    for k in ('fastai','fastcore','torch','torchvision','timm'):
        assert any(Requirement(f'{k}=={o[k]}').specifier.contains(floors[k].removeprefix('>=')) for o in lowest), k

def test_pythons_are_said_once():
    "The classifiers, the weekly workflow and `min_python` agree"
    classifiers = tomlkit.parse((root/'pyproject.toml').read_text(encoding='utf-8'))['project']['classifiers']
    pythons = [o.rpartition(' ')[2] for o in classifiers if re.search(r':: 3\.\d+$', o)]
    weekly = (root/'.github/workflows/weekly.yml').read_text(encoding='utf-8')
    assert pythons[0]==settings()['min_python'] and len(pythons)>=5
    assert re.findall(r"'(3\.\d+)'", re.search(r'python: \[(.*)\]', weekly)[1])==pythons

# A stranger's environment is made by tools/stranger.py, which .ci/run starts

def test_a_stranger_has_no_developers_packages():
    command = [sys.executable, root/'tools/stranger.py', '--python', sys.executable]
    r = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert r.returncode==1 and re.search('FAILED.*nothing but what the package requires', r.stdout)
    last = r.stdout.strip().splitlines()[-1]
    assert ' nbdev' in last and ' fastcore' not in last

def test_the_table_keeps_what_was_tried():
    was = [dict(python='3.9.1', resolution='highest', torch='2', result='passes'),
           dict(python='3.10.1', resolution='lowest-direct', torch='1', result='passes')]
    now = [dict(python='3.9', resolution='highest', result='not run here'),
           dict(python='3.11', resolution='highest', result='not run here'),
           dict(python='3.10.2', resolution='lowest-direct', torch='3', result='cannot be installed')]
    rows = matrix.merged(matrix.read_table(matrix.table(was)), now)
    assert [(o['python'], o.get('torch', ''), o['result']) for o in rows]==[
        ('3.9.1','2','passes'), ('3.11','','not run here'), ('3.10.2','3','cannot be installed')]

talks = """
import os, sys, time
try:
    print('terminal' if all(os.isatty(i) for i in range(3)) else 'files', os.get_terminal_size().columns, flush=True)
    time.sleep(60)
except KeyboardInterrupt: sys.exit(130)
"""

@pytest.mark.parametrize('inherited', [signal.default_int_handler, signal.SIG_IGN], ids=['foreground','background'])
def test_a_stranger_sits_at_a_terminal_and_stops_with_ctrl_c(inherited, tmp_path):
    was = signal.signal(signal.SIGINT, inherited) # a shell that starts this in the background ignores it
    command = [sys.executable, '-c', talks]
    stop = dict(stop_at=r'(terminal|files) \d+\s', limit=30)
    try: code,text = stranger.in_terminal(command, tmp_path, dict(os.environ), **stop)
    finally: signal.signal(signal.SIGINT, was)
    assert (code, 'terminal 80' in text)==(130, True), text

tutorials = sorted((root/'nbs/tutorials').glob('*.ipynb'))

@pytest.mark.parametrize('file', tutorials, ids=lambda p: p.stem)
def test_a_tutorial_opens_in_colab(file):
    "By a badge, and with a first cell that `tools/stranger.py --colab` tries"
    cells = json.loads(file.read_text(encoding='utf-8'))['cells']
    sources = [''.join(o['source']) for o in cells]
    at = 'https://colab.research.google.com/github/fastai-tricks/fastai_tricks/blob/main'
    assert f']({at}/{file.relative_to(root).as_posix()})' in sources[1]
    first = next(o for o in cells if o['cell_type']=='code')
    assert "'google.colab' in sys.modules" in ''.join(first['source']) and first['outputs']==[]
