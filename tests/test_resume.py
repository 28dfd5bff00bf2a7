"A training killed by SIGKILL at random moments ends as the unbroken one. As a program, this file runs the trials: it forks a process for each training, so that fastai is imported once."
import hashlib, json, os, random, signal, subprocess, sys, time, traceback
from functools import partial
from pathlib import Path

n_trials,twice = 20,5 # trainings that are killed; of these, killed again after they were resumed

def digest(learn):
    "A checksum for each part of what a training leaves"
    from fastai.torch_core import to_np
    opt = learn.opt.state_dict()
    sums = dict(weights=[to_np(o).tobytes() for o in learn.model.state_dict().values()], optimizer=repr([[(k,to_np(v).tobytes() if hasattr(v, 'numpy') else v) for k,v in s.items()] for s in opt['state'].values()]),
                hypers=repr([sorted((k,str(v)) for k,v in g.items() if k!='params') for g in opt['param_groups']]), losses=[float(o) for o in learn.recorder.losses], lrs=[float(o) for o in learn.recorder.lrs],
                logged=[[float(o) for o in v] for v in learn.recorder.values])
    return {k:hashlib.sha256(repr(v).encode()).hexdigest()[:12] for k,v in sums.items()}

def build():
    import torch
    from fastai.vision.all import RandTransform, TensorImage, Pipeline, GradientAccumulation, Learner, CrossEntropyLossFlat, accuracy
    from fastai_tricks.all import MixUp, LabelSmoothing, Distill, NoBiasDecay, nag, seed_everything
    from fastai_tricks.base.trial import CheckNet, check_dls
    class Shift(RandTransform):
        def before_call(self, b, split_idx): self.by = random.randint(0, 11)
        def encodes(self, o:TensorImage): return o.roll(self.by, -1) + torch.rand(1)*.1
    seed_everything(7)
    dls = check_dls(n=120, n_valid=16, bs=8)
    dls.train.after_item = Pipeline([Shift()])
    dls.train.fake_l.num_workers = 2
    learn = Learner(dls, CheckNet(4), CrossEntropyLossFlat(), opt_func=nag, metrics=accuracy, cbs=[MixUp(.4), LabelSmoothing(), Distill(CheckNet(4), T=4.), NoBiasDecay(), GradientAccumulation(24)])
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
    if pid: os.close(w); return pid,r
    code = 1
    try:
        os.write(w, json.dumps(f()).encode())
        code = 0
    except BaseException: traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)

def answer(pid, r):
    with os.fdopen(r) as f: said = f.read()
    status = os.waitpid(pid, 0)[1]
    assert status==0, f'a training ended with {os.waitstatus_to_exitcode(status)}'
    return json.loads(said)

def reached(d):
    "Batches that the newest checkpoint in `d` has behind it"
    stem = max((o.stem for o in d.glob('*.ckpt')), default='00-00000')
    epoch,k = (*map(int, stem.split('-')[1:]), 0)[:2]
    return epoch*15 + k

def ended(d):
    "Does the newest checkpoint in `d` say that its training had ended?"
    from fastai_tricks.all import read_checkpoint
    return reached(d)>=45 and read_checkpoint(d)['done']

def trials(folder):
    import torch
    torch.set_num_threads(1)
    import fastai_tricks.all
    rng = random.Random()
    whole,rows = answer(*in_child(lambda: train(Path(folder)/'whole'))),[]
    for i in range(3*n_trials):
        if len(rows)==n_trials: break
        d,found = Path(folder)/f'{i}',[]
        for _ in range(2 if len(rows)<twice else 1):
            pid,r = in_child(partial(train, d))
            target,until = rng.uniform(min(reached(d), 34), 34),time.monotonic()+120
            while reached(d)<target and time.monotonic()<until: time.sleep(.002)
            time.sleep(rng.uniform(0, .05)) # while it computes, or writes
            os.kill(pid, signal.SIGKILL)
            os.close(r)
            found.append([os.WIFSIGNALED(os.waitpid(pid, 0)[1]), reached(d)])
            if ended(d): break
        if ended(d): continue # the kill came too late, there is nothing to go on with
        end = answer(*in_child(partial(train, d)))
        rows.append(dict(found=found, differs=[k for k in whole if end[k]!=whole[k]]))
    print(json.dumps(rows))

def test_killed_at_random(tmp_path):
    run = subprocess.run([sys.executable, '-W', 'ignore', __file__, str(tmp_path)], capture_output=True, text=True, timeout=900, env={**os.environ, 'OMP_NUM_THREADS':'1'})
    assert run.returncode==0, run.stderr[-2000:]
    rows = json.loads(run.stdout.splitlines()[-1])
    assert len(rows)==n_trials
    assert [o['differs'] for o in rows]==[[]]*n_trials, rows
    at = [k for o in rows for killed,k in o['found'] if killed]
    assert len(at)==n_trials+twice, rows
    assert len(set(at))>=8 and any(k%15 for k in at), at # at different moments, within epochs

if __name__=='__main__': trials(sys.argv[1])
