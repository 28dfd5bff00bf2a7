"The command line as people meet it: mistakes, Ctrl-C, a kill, several processes"
import csv, json, os, shutil, signal, subprocess, sys, time
import psutil, pytest
from fastai_tricks.evidence.parent import has_ended
from helpers import image_folder

code = 'import sys; from fastai_tricks.cli import main; sys.exit(main())'
cli = [sys.executable, '-c', code]
env = {**os.environ, 'PYTHONWARNINGS':'ignore'}

def run(*args, env=env, cwd=None):
    return subprocess.run([*cli, *map(str, args)], capture_output=True, text=True, timeout=300, env=env, cwd=cwd)

several_commands = '''
import contextlib, io, json, os, sys
from fastai_tricks.cli import main
for args in json.loads(sys.argv[1]):
    err,before = io.StringIO(),set(os.listdir())
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()): code = main(args)
    print(json.dumps([code, err.getvalue(), sorted(set(os.listdir())-before)]))
'''

def one_after_another(commands, cwd):
    "Exit code, stderr and new files in `cwd` of each command, all in one process: starting takes longer than they do"
    r = subprocess.run([sys.executable, '-c', several_commands, json.dumps(commands)],
                       capture_output=True, text=True, timeout=300, env=env, cwd=cwd)
    assert r.returncode==0, r.stderr
    return [json.loads(o) for o in r.stdout.splitlines()]

@pytest.fixture(scope='module')
def images(tmp_path_factory): return image_folder(tmp_path_factory.mktemp('data')/'images', 240)

def rows(out):
    with (out/'runs.csv').open(newline='') as f: return list(csv.DictReader(f))

def test_help_is_quick_to_import():
    r = run('ablate', '--help')
    assert r.returncode==0 and 'examples:' in r.stdout
    only_parser = "import sys; from fastai_tricks.cli import parser; parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, '-c', only_parser]).returncode==0

def test_mistakes_get_one_line_and_leave_nothing(images, tmp_path):
    one_class,damaged,empty = tmp_path/'one',tmp_path/'damaged',tmp_path/'empty'
    shutil.copytree(images/'0', one_class/'0')
    shutil.copytree(images, damaged)
    (damaged/'0'/'zz.png').write_bytes(b'not an image')
    empty.mkdir()
    mistakes = [
        (['--tricks','mixupp'],                                            'Near: mixup'),
        (['--data',tmp_path/'none'],                                       'no folder'),
        (['--data',empty],                                                 'no image'),
        (['--data',one_class],                                             'one class only'),
        (['--data',damaged],                                               'zz.png'),
        (['--seeds','0'],                                                  'at least 1'),
        (['--data',images,'--out','/dev/null/x'],                          'Cannot write'),
        (['--data',damaged,'--out','/dev/null/x'],                         'Cannot write'), # before anything is decoded
        (['--data',images,'--tricks','mixup(alpha=-1)'],                   'alpha'),
        (['--data',images,'--tricks','warmup_cosine(warmup_epochs=-1)'],   'warmup')]
    commands = []
    for args,_ in mistakes:
        out = [] if '--out' in args else ['--out', tmp_path/'out']
        commands.append(['ablate', *map(str, args), *map(str, out)])
    for (args,words),(code,err,new_files) in zip(mistakes, one_after_another(commands, tmp_path)):
        assert code==2, (args, err)
        assert err.count('\n')==1 and words in err, (args, err)
        assert new_files==[], args

def test_home_is_a_tilde(images, tmp_path):
    home = {**env, 'HOME':str(images.parent)}
    r = run('ablate', '--data','~/images', '--size',16, '--tricks','label_smoothing', '--seeds',1, '--epochs',1,
            '--jobs',1, '--out','~/tilde', env=home, cwd=tmp_path)
    assert r.returncode==0, r.stderr
    assert (images.parent/'tilde'/'runs.csv').exists() and not list(tmp_path.iterdir())

def test_a_reader_who_has_enough_ends_it_quietly():
    piped = f'{sys.executable} -c "{code}" list | head -n 1'
    r = subprocess.run(['bash', '-c', piped], capture_output=True, text=True, timeout=300, env=env)
    assert (r.stdout.count('\n'), r.stderr)==(1, '')

def test_a_list_fits_a_terminal():
    listed = run('list').stdout
    assert max(map(len, listed.splitlines()))<=80
    assert 'label_smoothing' in listed and 'small-data' in listed

def ablation(images, out):
    return ['ablate', '--data',images, '--size','32', '--tricks','warmup_cosine','label_smoothing',
            '--seeds','3', '--epochs','6', '--jobs','2', '--out',out]

def start(args, ready, env=env):
    "Start the command `args`, and wait until `ready()`"
    p = subprocess.Popen([*cli, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
                         start_new_session=True)
    began = time.time()
    while time.time()-began<120 and p.poll() is None:
        if ready(): return p
        time.sleep(.02)
    raise AssertionError(f'it never was ready: {p.communicate()}')

def start_ablation(images, out, n, **kwargs):
    "Start the ablation, and wait until `n` runs are on disk"
    return start(ablation(images, out), lambda: (out/'runs.csv').exists() and len(rows(out))>=n, **kwargs)

def stop(process, sig):
    "Send `sig` to the whole group, as a terminal does; stdout and stderr"
    os.killpg(process.pid, sig)
    return process.communicate(timeout=60)

def family(process):
    "Processes that `process` started, and theirs, also without it"
    def is_one(pid):
        try: return os.getsid(pid)==process.pid
        except ProcessLookupError: return False
    return [pid for pid in psutil.pids() if is_one(pid) and not has_ended(psutil.Process(pid))]

def names(folder): return {o.name for o in folder.iterdir()}

def killed_alone(images, out, n, sig, tmp_path):
    "Send `sig` to the ablation, not to its processes, when `n` runs are on disk: of all of it only rows are left"
    tmp = tmp_path/f'tmp {sig.name}'
    tmp.mkdir()
    p = start_ablation(images, out, n, env={**env, 'TMPDIR':str(tmp)})
    assert len(family(p))>=3 # it, and two that train
    before,began = names(out),time.time()
    p.send_signal(sig)
    p.communicate(timeout=60)
    while family(p) and time.time()-began<30: time.sleep(.05)
    assert not family(p) and time.time()-began<20, (family(p), time.time()-began)
    assert not [o for o in tmp.iterdir() if not o.name.startswith('torchinductor')] # torch's cache, which it keeps
    assert names(out)=={'runs.csv'}|before

def numbers(out): return {(o['arm'],o['seed'],o['accuracy']) for o in rows(out)}

def stopped_and_done(images, out, tmp_path):
    "An ablation that is stopped, killed and done later; each looks at what the one before has left"
    p = start_ablation(images, out, 2)
    printed,err = stop(p, signal.SIGINT)
    after_stop = [o['key'] for o in rows(out)]
    assert p.returncode==130 and 2<=len(after_stop)<9, (p.returncode, len(after_stop), err[-500:])
    assert 'Traceback' not in err, err[-2000:]
    assert f'{len(after_stop)} of 9 runs are done' in printed
    killed_alone(images, out, len(after_stop)+1, signal.SIGKILL, tmp_path)
    after_kill = [o['key'] for o in rows(out)]
    assert set(after_stop)<set(after_kill) and len(after_kill)<9
    r = run(*ablation(images, out))
    assert r.returncode==0, r.stderr
    keys = [o['key'] for o in rows(out)]
    assert keys[:len(after_kill)]==after_kill # what was there stands
    assert len(keys)==len(set(keys))==9       # what was missing came once
    for o in ('report.html','plot.png'): assert (out/o).stat().st_size>5000

def test_stopped_runs_are_kept_and_the_rest_is_done_later(images, tmp_path):
    stopped_and_done(images, tmp_path/'out', tmp_path)

@pytest.mark.slow
def test_a_stop_changes_no_number(images, tmp_path):
    out,once = tmp_path/'out',tmp_path/'once'
    stopped_and_done(images, out, tmp_path)
    run(*ablation(images, once))
    assert numbers(once)==numbers(out)

@pytest.mark.slow # as by SIGKILL above
@pytest.mark.parametrize('sig', (signal.SIGTERM, signal.SIGHUP))
def test_processes_end_with_their_parent(images, tmp_path, sig): killed_alone(images, tmp_path/'out', 1, sig, tmp_path)

def test_every_warning_of_the_package_is_one_that_the_command_line_shows():
    "It has a class of ours, by which it is told from those of others"
    import ast
    from pathlib import Path
    import fastai_tricks
    without = []
    for f in Path(fastai_tricks.__file__).parent.rglob('*.py'):
        calls = [o for o in ast.walk(ast.parse(f.read_text())) if isinstance(o, ast.Call)]
        warns = [o for o in calls if ast.unparse(o.func)=='warnings.warn']
        without += [f'{f.name}: {ast.unparse(o)[:80]}' for o in warns if len(o.args)<2]
    assert not without

def training(images, out): return ['train', '--data',images, '--size','32', '--bs','32', '--epochs','8', '--out',out]

def start_training(args, out, n):
    "Start a training, and wait until it has written `n` checkpoints"
    def ready():
        done = sorted((out/'checkpoints').glob('*.ckpt'))
        return done and int(done[-1].stem.split('-')[1])>=n
    return start(args, ready)

def same_weights(a, b):
    import torch
    from fastai.learner import load_learner
    a,b = (load_learner(o/'model.pkl').model.state_dict() for o in (a,b))
    return all(torch.equal(a[k], b[k]) for k in a)

def test_a_training_that_was_killed_twice_ends_as_the_unbroken_one(images, tmp_path):
    whole,out = tmp_path/'whole',tmp_path/'out'
    r = run(*training(images, whole))
    assert r.returncode==0, r.stderr
    stop(start_training(training(images, out), out, 2), signal.SIGKILL)
    assert not (out/'model.pkl').exists()
    p = start_training(['resume',out], out, 4)
    printed,err = stop(p, signal.SIGINT)
    assert p.returncode==130, (printed[-300:], err[-500:])
    assert 'goes on from there' in printed and 'Traceback' not in err, (printed[-300:], err[-500:])
    assert not (out/'model.pkl').exists()
    r = run('resume', out)
    assert r.returncode==0 and 'Going on with `fit_warmup_cos`' in r.stdout, r.stderr
    assert (out/'history.csv').read_text()==(whole/'history.csv').read_text()
    assert same_weights(whole, out)
