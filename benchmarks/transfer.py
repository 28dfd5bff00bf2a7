"What the two transfer benchmarks share: backbones, rows, and validation at the end only"
import os, platform, time
from pathlib import Path
from benchmarks.rows import append_row, read_rows
os.environ.setdefault('OMP_NUM_THREADS', '1')

results  = Path(__file__).resolve().parent/'results'/'transfer'
machine  = 'date device threads python torch torchvision fastai'.split() # columns of `on_machine`

def is_done(path, settings):
    "Is there a row with these settings?"
    return any(all(o[k]==str(v) for k,v in settings.items()) for o in read_rows(path))

def backbone(arch, widen, weights):
    "`arch` with the weights in the file `weights`, every tensor of which must fit"
    import torch
    from fastai_tricks import all as ft
    sd = torch.load(weights, weights_only=True)
    net = getattr(ft, arch)(n_out=len(sd['fc.weight']), widen=widen)
    net.load_state_dict(sd, strict=True)
    return net

def is_missing(weights, arm, seed):
    "Are there no weights for this run? If so, say what to do"
    if (Path(weights)/f'{arm}-{seed}.pt').exists(): return False
    print(f'{arm}-{seed}.pt is not there: run `python -m benchmarks.pretrain {weights}` and this again', flush=True)
    return True

def pretraining(weights, arm, seed):
    "The row of the pretraining; empty if there is none"
    return next((o for o in read_rows(Path(weights)/'pretrain.csv') if o['arm']==arm and int(o['seed'])==seed), {})

def without_validation():
    "A callback: nothing is chosen by the held-out list, so it is looked at once, at the end"
    from fastai.callback.core import Callback, CancelValidException
    class NoValid(Callback):
        def before_validate(self): raise CancelValidException()
    return NoValid()

def on_machine(dls):
    "When and where a run was made"
    import fastai, torch, torchvision
    return dict(
        date=time.strftime('%Y-%m-%d'),
        device=str(dls.device),
        threads=torch.get_num_threads(),
        python=platform.python_version(),
        torch=torch.__version__,
        torchvision=torchvision.__version__,
        fastai=fastai.__version__)

def add_arguments(parser, values):
    "An argument for each of `values`: name to pair of default and help"
    for name,(default,words) in values.items():
        parser.add_argument(f'--{name}', type=type(default), default=default, help=f'{words} (default {default})')
