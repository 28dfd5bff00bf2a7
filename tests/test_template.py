"The steps of nbs/howto/add_a_trick.ipynb, done in a copy of the project"
import json, os, re, shutil, subprocess, sys
from pathlib import Path
import pytest

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root/'tools'))
from pages.chapters import chapters, page_name
from pages.project import read, text_of, write

left_out = '''.git _docs _proc build dist *.egg-info fastai_tricks-* __pycache__ .pytest_cache
    .ipynb_checkpoints models'''.split()
names = {'Cutout':'Blinder', 'cutout':'blinder'} # step 2 of the page: the name is yours

def renamed(text):
    "`text` with the template's name replaced"
    for old,new in names.items(): text = text.replace(old, new)
    return text

def run(copy, *args):
    "What a command prints in the copy, whose package it imports"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
    env = {**os.environ, 'PYTHONPATH':str(copy), 'PYTHONWARNINGS':'ignore', 'PATH':path}
    command = [str(o) for o in args]
    r = subprocess.run(command, cwd=copy, capture_output=True, text=True, env=env, timeout=600)
    assert r.returncode==0, (command, r.stdout[-3000:]+r.stderr[-3000:])
    return r.stdout

def commands():
    "The commands of the page"
    cells = json.loads(read(root/'nbs'/'howto'/'add_a_trick.ipynb'))['cells']
    text = '\n\n'.join(text_of(o['source']) for o in cells)
    return [o for block in re.findall(r'```sh\n(.*?)```', text, re.S) for o in block.strip().splitlines()]

@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    "The project after all steps: a page more, and what each command printed"
    to = tmp_path_factory.mktemp('project')/'fastai_tricks'
    shutil.copytree(root, to, ignore=shutil.ignore_patterns(*left_out))
    first,*others = commands()
    run(to, *first.split())
    page = to/first.split()[2]
    write(to/renamed(first.split()[2]), renamed(read(page)))
    page.unlink()
    printed = {o:run(to, *renamed(o).split()) for o in others}
    return to,printed

@pytest.fixture(scope='module')
def page(copy): return next((copy[0]/'nbs').glob('*blinder.ipynb'))

def test_the_page_names_these_commands():
    assert [' '.join(o.split()[:2]) for o in commands()]==[
        'cp nbs/_trick.ipynb', 'nbdev-export', 'nbdev-test nbs/58_target.cutout.ipynb', 'nbdev-clean',
        'python tools/docs.py', 'python tools/check.py']

def test_everything_that_is_generated_is_up_to_date(copy):
    checks = copy[1]['python tools/check.py'].splitlines()
    assert len(checks)>=4 and all(o.startswith('ok: ') for o in checks), checks

def test_nothing_but_the_page_was_written_by_hand(copy, page):
    to = copy[0]
    new = {p.relative_to(to).as_posix() for p in to.rglob('*.*') if not (root/p.relative_to(to)).exists()}
    kept = [o for o in new if not re.search(r'__pycache__|\.egg-info|\.last_checked|nbdev\.yml', o)]
    assert sorted(kept)==['fastai_tricks/target/blinder.py', page.relative_to(to).as_posix()]

code = '''
from fastai.vision.all import *
from fastai_tricks.all import *
print(tricks['blinder'].paper, blinder, Blinder(.25), bag(MixUp(.2), Blinder(.25)), sep='\\n')'''

def test_one_import_brings_it(copy):
    paper,trick,callback,packed = run(copy[0], sys.executable, '-c', code).splitlines()
    assert 'DeVries' in paper and trick=='blinder'
    assert callback=='Blinder(size=0.25)' and 'blinder(size=0.25)' in packed

def test_the_laws_were_run_and_their_table_is_saved(page):
    outputs = [json.dumps(o.get('outputs', [])) for o in json.loads(read(page))['cells']]
    assert any('no trace' in o for o in outputs)

def test_the_command_line_lists_and_shows_it(copy):
    assert re.search(r'^ *blinder\b', run(copy[0], 'fastai-tricks', 'list'), re.M)
    assert 'DeVries' in run(copy[0], 'fastai-tricks', 'show', 'blinder')

recipe = '''
[mine]
doc = "With a trick of one's own"
arch = "resnet18a"
n_epoch = 1
bs = 64
size = 28
tricks = [{trick = "blinder", size = 0.25}]
'''

def test_a_recipe_file_takes_it(copy, tmp_path):
    write(tmp_path/'mine.toml', recipe)
    assert 'blinder' in run(copy[0], 'fastai-tricks', 'show', tmp_path/'mine.toml')

def test_the_readme_lists_it(copy):
    assert '`blinder`' in read(copy[0]/'README.md') and '`blinder`' not in read(root/'README.md')

def test_it_has_a_page_in_its_chapter_and_a_card(copy, page):
    to = copy[0]
    assert page_name(page.relative_to(to/'nbs'))=='target.blinder'
    bar = chapters(to/'nbs')['website']['sidebar']['contents']
    holding = [o for o in bar if 'target.blinder.ipynb' in o.get('contents', [])]
    assert [o['section'] for o in holding]==['Training refinements']
    card = "import sys; sys.path.insert(0, 'tools'); from pages.cards import cards; print(cards('target.blinder', ''))"
    assert 'DeVries' in run(to, sys.executable, '-W', 'ignore', '-c', card)

def test_it_has_a_color(copy):
    ask = "from fastai_tricks.base.show import grey, trick_color; print(trick_color('blinder'), grey)"
    color,gray = run(copy[0], sys.executable, '-W', 'ignore', '-c', ask).split()
    assert re.fullmatch('#[0-9a-f]{6}', color) and color!=gray

def test_the_template_is_no_page_itself():
    from nbdev.doclinks import nbglob
    assert '_trick.ipynb' not in [Path(o).name for o in nbglob(str(root/'nbs'))]
