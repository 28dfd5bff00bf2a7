"""A training killed by SIGKILL at random moments ends as the unbroken one.
As a program, this file runs the trials: it forks a process for each training, so that fastai is imported once."""
import hashlib, json, os, random, signal, subprocess, sys, time, traceback
from functools import partial
from pathlib import Path

n_trials,twice = 20,5 # trainings that are killed; of these, killed again after they were resumed

def sha(o): return hashlib.sha256(repr(o).encode()).hexdigest()[:12]

def digest(learn):
    "A checksum for each part of what a training leaves"
    from fastai.torch_core import to_np
    def raw(o): return to_np(o).tobytes() if hasattr(o, 'numpy') else o
    opt = learn.opt.state_dict()
    left = dict(
        weights=[raw(o) for o in learn.model.state_dict().values()],
        optimizer=[[(k,raw(v)) for k,v in state.items()] for state in opt['state'].values()],
        hypers=[sorted((k,str(v)) for k,v in group.items() if k!='params') for group in opt['param_groups']],
        losses=[float(o) for o in learn.recorder.losses],
        lrs=[float(o) for o in learn.recorder.lrs],
        logged=[[float(o) for o in row] for row in learn.recorder.values],
    )
    return {k:sha(v) for k,v in left.items()}

def build():
    import torch
    from fastai.vision.all import CrossEntropyLossFlat, GradientAccumulation, Learner
    from fastai.vision.all import Pipeline, RandTransform, TensorImage, accuracy
    from fastai_tricks.all import MixUp, LabelSmoothing, Distill, NoBiasDecay, nag, seed_everything
    from fastai_tricks.base.trial import CheckNet, check_dls
    class Shift(RandTransform):
        def before_call(self, b, split_idx): self.by = random.randint(0, 11)
        def encodes(self, o:TensorImage): return o.roll(self.by, -1) + torch.rand(1)*.1
    seed_everything(7)
    dls = check_dls(n=120, n_valid=16, bs=8)
    dls.train.after_item = Pipeline([Shift()])
    dls.train.fake_l.num_workers = 2
    cbs = [MixUp(.4), LabelSmoothing(), Distill(CheckNet(4), T=4.), NoBiasDecay(), GradientAccumulation(24)]
    learn = Learner(dls, CheckNet(4), CrossEntropyLossFlat(), opt_func=nag, metrics=accuracy, cbs=cbs)
    seed_everything(7, dls)
    return learn

def train(folder):
    from fastai_tricks.all import Checkpoint
    learn,folder = build(),Path(folder)
    with learn.no_bar(), learn.no_logging():
        if list(folder.glob('*.ckpt')): learn.resume(folder)
        else: learn.fit_warmup_cos(3, 1e-2, warmup_epochs=1, cbs=Checkpoint(folder, every=2))
    return digest(learn)

def in_child(f):
    "Process number of a fork that writes what `f` returns to a pipe, and the pipe"
    r,w = os.pipe()
    pid = os.fork()
    if pid:
        os.close(w)
        return pid,r
    code = 1
    try:
        os.write(w, json.dumps(f()).encode())
        code = 0
    except BaseException: traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)

def answer(pid, r):
    with os.fdopen(r) as f: written = f.read()
    status = os.waitpid(pid, 0)[1]
    assert status==0, f'a training ended with {os.waitstatus_to_exitcode(status)}'
    return json.loads(written)

def reached(d):
    "Batches that the newest checkpoint in `d` has behind it"
    stem = max((o.stem for o in d.glob('*.ckpt')), default='00-00000')
    epoch,k = (*map(int, stem.split('-')[1:]), 0)[:2]
    return epoch*15 + k

def ended(d):
    "Does the newest checkpoint in `d` say that its training had ended?"
    from fastai_tricks.all import read_checkpoint
    return reached(d)>=45 and read_checkpoint(d)['done']

def kill_somewhere(d, rng):
    "Train in `d`, and kill the training at a random moment; was it still running, and how far had it come?"
    pid,r = in_child(partial(train, d))
    target,until = rng.uniform(min(reached(d), 34), 34),time.monotonic()+120
    while reached(d)<target and time.monotonic()<until: time.sleep(.002)
    time.sleep(rng.uniform(0, .05)) # while it computes, or writes
    os.kill(pid, signal.SIGKILL)
    os.close(r)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1]),reached(d)

def trial(d, n_kills, whole, rng):
    "A training in `d` that is killed `n_kills` times, as a row; None if a kill came too late to go on from"
    found = []
    for _ in range(n_kills):
        found.append(kill_somewhere(d, rng))
        if ended(d): return None
    end = answer(*in_child(partial(train, d)))
    return dict(found=found, differs=[k for k in whole if end[k]!=whole[k]])

def trials(folder):
    import torch
    torch.set_num_threads(1)
    import fastai_tricks.all
    rng,rows = random.Random(),[]
    whole = answer(*in_child(partial(train, Path(folder)/'whole')))
    for i in range(3*n_trials):
        if len(rows)==n_trials: break
        row = trial(Path(folder)/f'{i}', 2 if len(rows)<twice else 1, whole, rng)
        if row: rows.append(row)
    print(json.dumps(rows))

def run_trials(folder):
    "This file as a program; its rows"
    env = {**os.environ, 'OMP_NUM_THREADS':'1'}
    command = [sys.executable, '-W', 'ignore', __file__, str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=900, env=env)
    assert run.returncode==0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])

def test_killed_at_random(tmp_path):
    rows = run_trials(tmp_path)
    assert [o['differs'] for o in rows]==[[]]*n_trials, rows
    batches = [k for o in rows for killed,k in o['found'] if killed]
    assert len(batches)==n_trials+twice, rows
    assert len(set(batches))>=8 and any(k%15 for k in batches), batches # at different moments, within epochs

if __name__=='__main__': trials(sys.argv[1])
