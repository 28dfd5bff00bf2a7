"The steps of nbs/howto/add_a_trick.ipynb, done in a copy of the project"
import json, os, re, shutil, subprocess, sys
from pathlib import Path
import pytest

root = Path(__file__).resolve().parent.parent

@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    to = tmp_path_factory.mktemp('project')/'fastai_tricks'
    skip = shutil.ignore_patterns('.git', '_docs', '_proc', 'build', 'dist', '*.egg-info', 'fastai_tricks-*', '__pycache__', '.pytest_cache', '.ipynb_checkpoints', 'models')
    shutil.copytree(root, to, ignore=skip)
    return to

def run(copy, *args):
    env = {**os.environ, 'PYTHONPATH':str(copy), 'PYTHONWARNINGS':'ignore', 'PATH':os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])}
    r = subprocess.run([str(o) for o in args], cwd=copy, capture_output=True, text=True, env=env, timeout=600)
    assert r.returncode==0, (args, r.stdout[-3000:]+r.stderr[-3000:])
    return r.stdout

def source(nb): return '\n\n'.join(''.join(c['source']) for c in json.loads(nb.read_text(encoding='utf-8'))['cells'])

def test_a_new_trick_takes_one_notebook_and_one_line(copy):
    steps = source(root/'nbs'/'howto'/'add_a_trick.ipynb')
    commands = [o for block in re.findall(r'```sh\n(.*?)```', steps, re.S) for o in block.strip().splitlines()]
    line, = re.findall(r'```python\n(from fastai_tricks\.\w+ import \*)\n```', steps)
    assert [o.split()[0] for o in commands]==['cp','nbdev-export','nbdev-test','nbdev-clean','python'], commands # what follows does what the page says
    run(copy, *commands[0].split())
    new = copy/commands[0].split()[2]
    for o in ('Cutout','cutout'): # step 2: the name is yours
        new.write_text(new.read_text(encoding='utf-8').replace(o, {'Cutout':'Blinder','cutout':'blinder'}[o]), encoding='utf-8')
    renamed = new.with_name(new.name.replace('cutout', 'blinder'))
    new.rename(renamed)
    for o in commands[1:4]: # export, test with saved outputs, clean
        run(copy, *[a.replace('cutout', 'blinder') for a in o.split()])
        if o=='nbdev-export': # step 3
            p = copy/'fastai_tricks'/'all.py'
            p.write_text(p.read_text(encoding='utf-8').replace('\n__all__', '\n'+line.replace('cutout', 'blinder')+'\n__all__'), encoding='utf-8')
    assert 'ok: modules equal' in run(copy, *commands[4].split())
    said = run(copy, sys.executable, '-c', 'from fastai.vision.all import *; from fastai_tricks.all import *; print(tricks["blinder"].where, Blinder(.25), bag(MixUp(.2), Blinder(.25)))')
    assert 'DeVries' in said and 'Blinder(size=0.25)' in said and 'blinder(size=0.25)' in said
    assert any('law' in json.dumps(c.get('outputs', [])) for c in json.loads(renamed.read_text(encoding='utf-8'))['cells']) # the laws were run, and their table is saved
    sys.path.insert(0, str(root/'tools'))
    from docs import chapters, page_name
    assert 'nbs/blinder' in page_name(renamed.relative_to(copy)) and 'blinder' in json.dumps(chapters(copy/'nbs')) # it has a page and a place in the sidebar

def test_the_template_is_no_page_itself():
    from nbdev.doclinks import nbglob
    assert '_trick.ipynb' not in [Path(o).name for o in nbglob(str(root/'nbs'))]
