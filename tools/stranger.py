"""Does the package work for a stranger: alone in a fresh environment, from another folder, in a terminal?

`python tools/stranger.py` makes the environment by `pip install .` of a copy.
`--python PATH` takes an environment that holds the package already, `--colab` one where torch was there first.
A line for each step; at the first that fails its output, and exit code 1."""
import argparse, fcntl, json, os, pty, re, select, shlex, shutil, signal, struct, subprocess, sys
import tempfile, termios, time
from pathlib import Path

root = Path(__file__).resolve().parent.parent
columns,rows = 80,24
small = '--seeds 2 --epochs 3 --out ablation' # README's first command, made short
training = '--data pictures --size 32 --bs 16 --epochs 4 --every 4'
colab_torch = 'torch==2.12.1' # older than the newest, so that an upgrade would be seen

class Failed(Exception): "What was seen, for a reader"

# The project and its environments

def copied(
    to, # Folder; made anew
)->Path: # It
    "The project as a fresh clone has it: without what was built here"
    ignored = shutil.ignore_patterns('.git', '_docs', '_proc', 'build', 'dist', '*.egg-info', '__pycache__', '.venv')
    return Path(shutil.copytree(root, to, ignore=ignored))

def quiet(
    cmd:list, # Program and arguments
    **kw, # Of `subprocess.run`
)->str: # What it wrote to stdout
    "Run `cmd` outside a terminal"
    cmd = [str(o) for o in cmd]
    r = subprocess.run(cmd, capture_output=True, text=True, **kw)
    if not r.returncode: return r.stdout
    raise Failed(f'{shlex.join(cmd)[:300]}\n'
                 f'ended with {r.returncode}\n'
                 f'{r.stdout[-3000:]}{r.stderr[-6000:]}')

def fresh(
    folder, # Where the environment is made
    *specs, # What pip installs
)->Path: # Its Python
    "An environment with `specs` and what they require, nothing else"
    quiet([sys.executable, '-m', 'venv', folder])
    python = Path(folder)/'bin'/'python'
    quiet([python, '-m', 'pip', 'install', '-q', *specs], cwd=Path(folder).parent, env=clean())
    return python

def clean(
    **more, # Variables to set
)->dict: # For `env=`
    "This process's variables without those by which Python would find the developers' packages"
    developers = ('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', 'PYTHONWARNINGS')
    return {**{k:v for k,v in os.environ.items() if k not in developers}, **more}

# A terminal

def in_terminal(
    cmd:list, # Program and arguments
    cwd, # Folder to run it in
    env:dict, # Its variables
    stop_at:str=None, # Regular expression; Ctrl-C is pressed when the output holds it
    limit:int=900, # Seconds, then it is killed and has failed
)->tuple: # Exit code and all that it wrote
    "Run `cmd` as a person does: stdin, stdout and stderr are a terminal"
    pid,fd = pty.fork()
    if not pid:
        signal.signal(signal.SIGINT, signal.default_int_handler) # a shell that starts this in the background ignores it
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
        os.chdir(cwd)
        try: os.execve(str(cmd[0]), [str(o) for o in cmd], env)
        finally: os._exit(127)
    text,end = b'',time.monotonic()+limit
    while time.monotonic()<end:
        if not select.select([fd], [], [], 1)[0]: continue
        try: new = os.read(fd, 1<<16)
        except OSError: new = b'' # Linux says so when the other end is closed
        if not new: break
        text += new
        if stop_at and re.search(stop_at, text.decode(errors='replace')):
            os.write(fd, b'\x03')
            stop_at = None
    else:
        os.kill(pid, signal.SIGKILL)
        text += f'\n(killed after {limit} s)'.encode()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return code,text.decode(errors='replace')

# The steps

alone_code = '''
import re, sys
from importlib.metadata import distributions
from packaging.requirements import Requirement
name = lambda o: re.sub("[-_.]+", "-", o).lower()
have = {name(o.metadata["Name"]):o for o in distributions()}
needed,todo = set(),[("fastai-tricks", "")]
while todo:
    nm,extra = todo.pop()
    if (nm, extra) in needed or nm not in have: continue
    needed.add((nm, extra))
    for o in map(Requirement, have[nm].requires or ()):
        if o.marker and not o.marker.evaluate(dict(extra=extra)): continue
        todo += [(name(o.name), "")] + [(name(o.name), e) for e in o.extras]
others = sorted(set(have) - {o for o,_ in needed} - {"pip","setuptools","wheel","uv"})
sys.exit(f"The environment holds what the package does not require: {', '.join(others)}" if others else 0)
'''

modules_code = '''
import os, pkgutil, sys, warnings
warnings.simplefilter("ignore")
from fastai.vision.all import *
import fastai_tricks
where = Path(fastai_tricks.__file__).parent
if "site-packages" not in where.parts: sys.exit(f"fastai_tricks is taken from {where}")
names = [o.name for o in pkgutil.walk_packages([str(where)], "fastai_tricks.")]
if len(names)<20: sys.exit(f"only {names} were found in {where}")
for o in names: # each in a process of its own, or the first would import for the others
    pid = os.fork()
    if not pid:
        code = 1
        try:
            __import__(o)
            code = 0
        finally:
            if code: import traceback; traceback.print_exc()
            sys.stderr.flush()
            os._exit(code)
    if os.waitpid(pid, 0)[1]: sys.exit(f"import {o} failed")
print(len(names), "modules")
'''

pictures_code = '''
import numpy as np
from pathlib import Path
from PIL import Image
rng = np.random.default_rng(0)
for i,nm in enumerate(("dark","light")):
    (Path("pictures")/nm).mkdir(parents=True)
    for j in range(80):
        pixels = rng.random((40,48,3))*160 + 90*i
        Image.fromarray(pixels.astype("uint8")).save(f"pictures/{nm}/{j}.png")
'''

load_code = '''
import sys, warnings
warnings.simplefilter("ignore")
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0]!="fastai_tricks": return
        raise ModuleNotFoundError("No module named 'fastai_tricks'", name=name)
sys.meta_path.insert(0, Refuse())
from fastai.vision.all import *
learns = [load_learner(f"{o}/model.pkl") for o in ("whole","stopped")]
label,_,probs = learns[0].predict(Path("pictures")/"dark"/"0.png")
if label not in ("dark","light") or abs(float(probs.sum())-1)>1e-4: sys.exit(f"predicted {label}, {probs}")
a,b = (o.model.state_dict() for o in learns)
other = [k for k in a if not torch.equal(a[k], b[k])]
if list(a)!=list(b) or other: sys.exit(f"the resumed training ended with other weights: {other[:5]}")
'''

versions_code = '''
import json, platform
from importlib.metadata import version
names = "fastai torch torchvision timm fastcore".split()
print(json.dumps(dict(python=platform.python_version(), **{o:version(o) for o in names})))
'''

def first_command()->list: # Its words
    "The first call of the command line in README"
    m = re.search(r'^(?:.*&& *)?fastai-tricks +(\w[^\n&|#]*)$', (root/'README.md').read_text(encoding='utf-8'), re.M)
    if not m: raise Failed('README holds no line that begins with `fastai-tricks`')
    return shlex.split(m[1])

class Stranger:
    "Somebody at a terminal in `folder` who has nothing but the environment of `python`"
    def __init__(self,
        python, # Of an environment that holds the package
        folder, # Away from the checkout
    ):
        self.python,self.folder = Path(python).absolute(),Path(folder)
        (self.folder/'home').mkdir(parents=True)
        nowhere = 'http://127.0.0.1:9' # whoever downloads fails
        self.env = clean(HOME=str(self.folder/'home'), TERM='xterm', http_proxy=nowhere, https_proxy=nowhere)

    def run(self,
        code:str, # Python
    )->str: # What it printed
        "Run `code` outside a terminal"
        return quiet([self.python, '-c', code], cwd=self.folder, env=self.env, timeout=900)

    def command(self,
        *words, # After `fastai-tricks`
        code:int=0, # The exit code that it must have
        has:tuple=(), # What the output must hold
        files:tuple=(), # What must lie in the folder afterwards
        **kw, # Of `in_terminal`
    ):
        "Run `fastai-tricks` in a terminal"
        cmd = [self.python.parent/'fastai-tricks', *words]
        ended,text = in_terminal(cmd, self.folder, self.env, **kw)
        errors = [f'exit code {ended}, not {code}'] if ended!=code else []
        errors += [f'no {o!r} in the output' for o in has if o not in text]
        errors += [f'no file {o}' for o in files if not (self.folder/o).exists()]
        if 'Traceback' in text: errors.append('a traceback')
        if errors: raise Failed(f"{'; '.join(errors)}\n$ {shlex.join(map(str, cmd))}\n{text[-6000:]}")

    def steps(self, alone=True):
        "Pairs of what is tried, and how"
        bar = ('Epoch 1/4','█') # the ordinary progress bar was there
        train = ['train', *training.split()]
        first = [*first_command(), *small.split()]
        written = ('ablation/report.html','ablation/runs.csv','ablation/plot.png')
        if alone: yield 'nothing but what the package requires',lambda: self.run(alone_code)
        yield 'every module is imported by itself',lambda: self.run(modules_code)
        yield 'fastai-tricks list',lambda: self.command('list', has=('mixup','small-data'))
        yield 'fastai-tricks show mixup',lambda: self.command('show', 'mixup', has=('mixup',))
        answers = dict(has=('To train:','\nbag: '), files=written)
        yield ' '.join(['fastai-tricks', *first]),lambda: self.command(*first, **answers)
        yield 'pictures of their own',lambda: self.run(pictures_code)
        yield 'fastai-tricks train',lambda: self.command(*train, '--out', 'whole', has=bar, files=('whole/model.pkl',))
        stopped = dict(code=130, has=('Stopped',), stop_at='Epoch 2/4')
        yield 'fastai-tricks train, and Ctrl-C',lambda: self.command(*train, '--out', 'stopped', **stopped)
        goes_on = dict(has=('Going on with','Epoch 4/4'), files=('stopped/model.pkl',))
        yield 'fastai-tricks resume',lambda: self.command('resume', 'stopped', **goes_on)
        yield 'load_learner without the package: the same weights',lambda: self.run(load_code)

def taken(steps):
    "Take the steps, a line for each"
    for what,f in steps:
        start = time.monotonic()
        try: f()
        except (Failed, subprocess.TimeoutExpired) as e:
            print(f'FAILED {time.monotonic()-start:5.1f} s  {what}\n{e}', flush=True)
            raise SystemExit(1)
        print(f'ok     {time.monotonic()-start:5.1f} s  {what}', flush=True)

# Colab

def first_cell(
    notebook, # A tutorial
)->str: # Source
    "The cell that installs on Colab"
    cells = json.loads(Path(notebook).read_text(encoding='utf-8'))['cells']
    found = [''.join(o['source']) for o in cells if o['cell_type']=='code']
    if not found or 'google.colab' not in found[0]:
        raise Failed(f'the first code cell of {notebook} does not install on Colab')
    return found[0]

colab_code = '''
import sys, types
from importlib.metadata import version
from IPython.core.interactiveshell import InteractiveShell
sys.modules["google.colab"] = types.ModuleType("google.colab")
before = version("torch")
InteractiveShell.instance().run_cell(sys.argv[1]).raise_error()
import importlib
importlib.invalidate_caches()
if version("torch")!=before: sys.exit(f"torch was {before} and is {version('torch')}")
from fastai.vision.all import *
from fastai_tricks.all import *
if len(tiny_dls(n_train=60, n_valid=40).train_ds)!=60: sys.exit("the embedded pictures are not there")
'''

def colab_steps(folder, project):
    "A notebook's server that has torch and IPython, and then the first cell of a tutorial"
    env = Path(folder)/'env'
    python = env/'bin'/'python'
    cells = {o.name:first_cell(o) for o in sorted((root/'nbs'/'tutorials').glob('*.ipynb'))}
    if len(set(cells.values()))!=1: raise Failed(f'the first cells of the tutorials differ: {cells}')
    first = next(iter(cells.values()))
    cell = re.sub(r'git\+https://[^\s"\']+', project.as_uri(), first)
    if cell==first: raise Failed(f'the first cell names no address to install from: {first}')
    variables = clean(PATH=f"{python.parent}{os.pathsep}{os.environ['PATH']}")
    command = [python, '-W', 'ignore', '-c', colab_code, cell]
    yield f'an environment with {colab_torch} and IPython',lambda: fresh(env, colab_torch, 'torchvision', 'ipython')
    yield "a tutorial's first cell leaves torch alone",lambda: quiet(command, cwd=folder, env=variables)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--python', help='of an environment that holds the package')
    p.add_argument('--not-alone', action='store_true',
                   help='the environment may hold more than the package requires')
    p.add_argument('--colab', action='store_true',
                   help='try the first cell of the tutorials where torch was there first')
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)
        if args.colab: return taken(colab_steps(d, copied(d/'project')))
        python = args.python or d/'env'/'bin'/'python'
        if not args.python: taken([('pip install .', lambda: fresh(d/'env', copied(d/'project')))])
        stranger = Stranger(python, d/'elsewhere')
        print(stranger.run(versions_code).strip(), flush=True)
        taken(stranger.steps(not args.not_alone))

if __name__=='__main__': main()
