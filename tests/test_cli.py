"The command line as people meet it: mistakes, Ctrl-C, a kill, several processes"
import csv, json, os, shutil, signal, subprocess, sys, time
from pathlib import Path
import pytest

cli = [sys.executable, '-c', 'import sys; from fastai_tricks.cli import main; sys.exit(main())']
env = {**os.environ, 'PYTHONWARNINGS':'ignore'}

def run(*args, cwd=None): return subprocess.run([*cli, *map(str,args)], capture_output=True, text=True, timeout=300, env=env, cwd=cwd)

each_code = '''
import contextlib, io, json, os, sys
from fastai_tricks.cli import main
for args in json.loads(sys.argv[1]):
    err,here = io.StringIO(),set(os.listdir())
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()): code = main(args)
    print(json.dumps([code, err.getvalue(), sorted(set(os.listdir())-here)]))
'''

def one_after_another(asked, cwd):
    "Exit code, stderr and what was left in `cwd` of each command, run in one process, for starting takes longer than the commands"
    r = subprocess.run([sys.executable, '-c', each_code, json.dumps(asked)], capture_output=True, text=True, timeout=300, env=env, cwd=cwd)
    assert r.returncode==0, r.stderr
    return [json.loads(o) for o in r.stdout.splitlines()]

@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    from PIL import Image
    from fastai_tricks.data.samples import tiny_arrays
    d,a = tmp_path_factory.mktemp('data')/'pictures',tiny_arrays()
    for i in range(240):
        f = d/str(a['train_y'][i]%2)/f'{i}.png'
        f.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(a['train_x'][i]).save(f)
    return d

def rows(out):
    with (out/'runs.csv').open(newline='') as f: return list(csv.DictReader(f))

def test_help_is_quick_to_import():
    r = run('ablate','--help')
    assert r.returncode==0 and 'examples:' in r.stdout
    code = "import sys; from fastai_tricks.cli import parser; parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, '-c', code]).returncode==0

def test_mistakes_get_one_line_and_leave_nothing(pictures, tmp_path):
    one,bad,void = tmp_path/'one',tmp_path/'bad',tmp_path/'void'
    shutil.copytree(pictures/'0', one/'0')
    shutil.copytree(pictures, bad)
    (bad/'0'/'zz.png').write_bytes(b'not a picture')
    void.mkdir()
    cases = [(['--tricks','mixupp'], 'Near: mixup'), (['--data',tmp_path/'none'], 'no folder'), (['--data',void], 'no picture'), (['--data',one], 'one class only'),
             (['--data',bad], 'zz.png'), (['--seeds','0'], 'at least 1'), (['--data',pictures,'--out','/dev/null/x'], 'Cannot write'),
             (['--data',bad,'--out','/dev/null/x'], 'Cannot write'), # told before anything is decoded
             (['--data',pictures,'--tricks','mixup(alpha=-1)'], 'alpha'), (['--data',pictures,'--tricks','warmup_cosine(warmup_epochs=-1)'], 'warmup')]
    asked = []
    for args,_ in cases:
        out = [] if '--out' in args else ['--out', tmp_path/'out']
        asked.append(['ablate', *map(str, args), *map(str, out)])
    for (args,words),(code,err,left) in zip(cases, one_after_another(asked, tmp_path)):
        assert code==2, (args, err)
        assert err.count('\n')==1 and words in err, (args, err)
        assert left==[], args

def test_home_is_a_tilde(pictures, tmp_path):
    home = {**env, 'HOME':str(pictures.parent)}
    args = ['ablate','--data','~/pictures','--size','16','--tricks','label_smoothing','--seeds','1','--epochs','1','--jobs','1','--out','~/tilde']
    r = subprocess.run([*cli, *args], capture_output=True, text=True, timeout=300, env=home, cwd=tmp_path)
    assert r.returncode==0, r.stderr
    assert (pictures.parent/'tilde'/'runs.csv').exists() and not list(tmp_path.iterdir())

def test_a_reader_who_has_enough_ends_it_quietly():
    code = ' '.join([sys.executable, '-c', '"import sys; from fastai_tricks.cli import main; sys.exit(main())"'])
    r = subprocess.run(['bash','-c',f'{code} list | head -n 1'], capture_output=True, text=True, timeout=300, env=env)
    assert (r.stdout.count('\n'), r.stderr)==(1, '')

def test_a_list_fits_a_terminal():
    said = run('list').stdout
    assert max(map(len, said.splitlines()))<=80 and 'label_smoothing' in said and 'small-data' in said

def command(pictures, out): return ['ablate','--data',pictures,'--size','32','--tricks','warmup_cosine','label_smoothing','--seeds','3','--epochs','6','--jobs','2','--out',out]

def start(pictures, out, n=2):
    "Start the command and wait until `n` runs are on disk"
    p = subprocess.Popen([*cli, *map(str, command(pictures, out))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)
    t0 = time.time()
    while time.time()-t0<120 and p.poll() is None:
        if (out/'runs.csv').exists() and len(rows(out))>=n: return p
        time.sleep(.05)
    raise AssertionError(f'no run finished: {p.communicate()}')

def test_stopped_runs_are_kept_and_the_rest_is_done_later(pictures, tmp_path):
    out = tmp_path/'out'
    p = start(pictures, out)
    os.killpg(p.pid, signal.SIGINT) # as a terminal does: the whole group
    said,err = p.communicate(timeout=60)
    kept = {o['key'] for o in rows(out)}
    assert p.returncode==130 and 2<=len(kept)<9, (p.returncode, len(kept), err[-500:])
    assert 'Traceback' not in err, err[-2000:]
    assert f'{len(kept)} of 9 runs are done' in said
    p = start(pictures, out, len(kept)+1)
    os.killpg(p.pid, signal.SIGKILL)
    p.communicate()
    kept2 = [o['key'] for o in rows(out)]
    assert kept < set(kept2) and len(kept2)<9
    r = run(*command(pictures, out))
    assert r.returncode==0, r.stderr
    keys = [o['key'] for o in rows(out)]
    assert keys[:len(kept2)]==kept2 and len(keys)==len(set(keys))==9 # what was there stands, what was missing came once
    for o in ('report.html','plot.png'): assert (out/o).stat().st_size>5000
    once = run(*command(pictures, tmp_path/'once'))
    assert {(o['arm'],o['seed'],o['accuracy']) for o in rows(tmp_path/'once')}=={(o['arm'],o['seed'],o['accuracy']) for o in rows(out)} # a stop changes no number

def training(pictures, out, *more): return ['train','--data',pictures,'--size','32','--bs','32','--epochs','8','--out',out,*more]

def begin(args, out, n):
    "Start a training and wait until it has written `n` checkpoints"
    p = subprocess.Popen([*cli, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)
    t0 = time.time()
    while time.time()-t0<120 and p.poll() is None:
        done = sorted((out/'checkpoints').glob('*.ckpt'))
        if done and int(done[-1].stem.split('-')[1])>=n: return p
        time.sleep(.02)
    raise AssertionError(f'no checkpoint: {p.communicate()}')

def test_a_training_that_was_killed_twice_ends_as_the_unbroken_one(pictures, tmp_path):
    whole,out = tmp_path/'whole',tmp_path/'out'
    r = run(*training(pictures, whole))
    assert r.returncode==0, r.stderr
    for n,sig in ((2,signal.SIGKILL), (4,signal.SIGINT)):
        p = begin(training(pictures, out) if n==2 else ['resume',out], out, n)
        os.killpg(p.pid, sig)
        said,err = p.communicate(timeout=60)
        if sig==signal.SIGINT: assert p.returncode==130 and 'goes on from there' in said and 'Traceback' not in err, (p.returncode, said[-300:], err[-500:])
        assert not (out/'model.pkl').exists()
    r = run('resume', out)
    assert r.returncode==0 and 'Going on with `fit_warmup_cos`' in r.stdout, r.stderr
    assert (out/'history.csv').read_text()==(whole/'history.csv').read_text()
    import torch
    from fastai.learner import load_learner
    a,b = (load_learner(o/'model.pkl').model.state_dict() for o in (whole,out))
    assert all(torch.equal(a[k], b[k]) for k in a)
