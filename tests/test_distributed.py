"Several processes compute what one would, and none may hang. Each launch writes what it saw; the tests read it"
import json, os, re, socket, subprocess, sys, time
from pathlib import Path
import numpy as np, psutil, pytest
from helpers import image_folder

here = Path(__file__).resolve().parent
job = str(here/'distributed_job.py')
env = {**os.environ, 'PYTHONWARNINGS':'ignore', 'OMP_NUM_THREADS':'1'}
pytest.importorskip('accelerate')
worlds = [2, pytest.param(4, marks=pytest.mark.slow)]

def torchrun(n, *args):
    "The command that runs `args` in `n` processes"
    args = [*map(str, args)]
    if n==1: return [sys.executable, *args]
    return [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', str(n), *args]

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def launch(cmd, timeout=120):
    "Exit code and output of `cmd`, which may run for `timeout` seconds"
    p = subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         env=env, cwd=here, start_new_session=True)
    try: txt,_ = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        for o in [*psutil.Process(p.pid).children(recursive=True), psutil.Process(p.pid)]: o.kill()
        raise AssertionError(f'still running after {timeout} s: {p.communicate()[0][-2000:]}')
    return p.returncode,txt

def results(d, world, *what):
    "What each of `world` processes wrote for the first of `what`"
    files = [d/f'{what[0]}-{world}-{r}.json' for r in range(world)]
    if not files[0].exists():
        code,txt = launch(torchrun(world, job, d, world, *what))
        assert code==0, txt[-3000:]
    return [json.loads(o.read_text()) for o in files]

@pytest.fixture(scope='module')
def out(tmp_path_factory): return tmp_path_factory.mktemp('ranks')

def floats(o): return np.asarray(o, dtype=float)
def far(a, b): return np.abs(floats(a)-floats(b)).max()

def far_ratio(a, b):
    "As `far`, relative to the size of `b` where that is above 1"
    scale = np.maximum(1, np.abs(floats(b)))
    return far(floats(a)/scale, floats(b)/scale)

# What must equal one process

cases = ['plain', 'adam', 'adamw', 'short_tail', 'smoothing', 'warmup_cosine', 'nag', 'accumulation', 'distill',
         'weighted', 'summed', 'bag', 'clipping']

@pytest.mark.parametrize('world', worlds)
def test_equals_one_process(out, world):
    one, = results(out, 1, 'equality')
    for rank in results(out, world, 'equality'):
        for case in cases:
            a,b = rank[case],one[case]
            assert far(a['weights'], b['weights'])<1e-5, case
            assert far(a['losses'], b['losses'])<1e-5, case
            assert far(a['hypers'], b['hypers'])<1e-12, case
            # train_loss, valid_loss, accuracy and F1 of 19 images
            assert far_ratio(a['values'], b['values'])<1e-6, case

@pytest.mark.parametrize('world', worlds)
def test_all_have_the_same_weights_after_every_epoch(out, world):
    first,*others = results(out, world, 'equality')
    for case in cases:
        seen = first[case]['seen']
        assert len(set(seen))==len(seen)==3, case # they moved
        for o in others: assert o[case]['seen']==seen, case # to the last bit

@pytest.mark.parametrize('world', worlds)
def test_predictions_are_all_there_and_in_order(out, world):
    one, = results(out, 1, 'equality')
    for o in results(out, world, 'equality'):
        assert o['preds']['targs']==one['preds']['targs'] and len(o['preds']['targs'])==19
        # `single` has one item, so most processes have none
        for k in ('preds','losses','valid','given','single'): assert far(o['preds'][k], one['preds'][k])<1e-6, k

@pytest.mark.parametrize('world', worlds)
def test_every_metric_is_that_of_one_process(out, world):
    one, = results(out, 1, 'equality')
    assert len(one['metrics'])==28
    for o in results(out, world, 'equality'):
        assert list(o['metrics'])==list(one['metrics'])
        for name,values in o['metrics'].items(): assert far_ratio(values, one['metrics'][name])<2e-6, name

@pytest.mark.parametrize('world', worlds)
def test_lr_find_ends_and_changes_nothing(out, world):
    one, = results(out, 1, 'equality')
    for o in results(out, world, 'equality'):
        assert o['find']['same']
        assert abs(o['find']['valley']/one['find']['valley']-1)<1e-5
        for k in ('losses','after'): assert far(o['find'][k], one['find'][k])<1e-5, k

# What makes sense with several processes only

def test_each_process_has_draws_of_its_own(out):
    a,b = results(out, 2, 'several')
    assert len(a['lams'])==6
    assert len(set(b['lams']))==6
    assert not set(a['lams']) & set(b['lams'])
    assert a['mixed']==b['mixed']

def test_process_0_alone_writes(out):
    a,b = results(out, 2, 'several')
    checkpoints = {'ckpt/00-00001.ckpt','ckpt/00-00002.ckpt'}
    assert set(a['files'])=={'all.pkl','history.csv','models/end.pth','models/model.pth'} | checkpoints
    assert b['files']==[]
    assert len((out/'rank0'/'history.csv').read_text().splitlines())==3

def test_an_export_holds_nothing_of_ours(out): assert results(out, 2, 'several')[0]['export']==[]

def test_the_best_weights_reach_all(out):
    a,b = results(out, 2, 'several')
    assert a['saved']==b['saved'] # loaded by process 0

def test_nothing_is_left_behind(out):
    for o in results(out, 2, 'several'):
        left = o['left']
        assert left['cbs']==['TrainEvalCallback','Recorder','CastToTensor','SaveModelCallback']
        assert all(left['run'])
        assert left['loaders']==['TfmdDL']*2
        assert not {'load','_with_events','_do_fit'} & set(left['keys'])

def test_exceptions_leave_the_learner_as_it_was(out):
    for o in results(out, 2, 'several'): assert o['struck']==[
        ['after_batch', 'KeyboardInterrupt', True, True],
        ['after_pred', 'ValueError', True, True],
        ['after_loss', 'RuntimeError', True, True],
        ['before_step', 'KeyboardInterrupt', True, True],
    ]

def test_decisions_are_those_of_process_0(out):
    a,b = results(out, 2, 'several')
    assert a['other']==b['other']==9 # process 1 wants to stop: it does not count
    assert a['first']==b['first']<4
    assert a['epoch']==b['epoch']<9
    assert a['early']==b['early']==2

def test_resumed_equals_unbroken_to_the_last_bit(out):
    for o in results(out, 2, 'several'): assert o['resumed']==[[True,True]]*2

def test_workers_batch_norm_and_dropout_leave_equal_weights(out):
    a,b = results(out, 2, 'several')
    for k in ('workers','bn','drop'): assert a[k]==b[k] and np.isfinite(a[k]).all(), k

def test_projectors_are_refused(out): assert 'projectors of its own' in results(out, 2, 'several')[0]['features']

def test_every_trick_runs_and_leaves_equal_weights(out):
    a,b = results(out, 2, 'tricks')
    assert len(a)>=19
    for name,(finite,*_) in a.items(): assert finite and a[name]==b[name], name

def test_a_process_that_hangs_is_given_up(out):
    code,txt = launch(torchrun(2, job, out, 2, 'hang'), 90)
    res = json.loads((out/'hang.json').read_text())
    assert code!=0
    assert 3<res['waited']<15
    assert 'does not answer' in res['message']

# Other ways to start

notebook = '''
import sys
sys.path.insert(0, {here!r})
from accelerate import notebook_launcher
def train():
    import distributed_job
    from pathlib import Path
    distributed_job.main(Path({out!r}), 2, 'launch')
notebook_launcher(train, num_processes=2, use_port='{port}')
'''

def accelerate_launch(folder):
    # `--multi_gpu` means several processes, here on the CPU, as there is no GPU; with `--cpu` accelerate starts one
    options = ['--multi_gpu', '--num_processes', 2, '--num_machines', 1, '--mixed_precision', 'no',
               '--dynamo_backend', 'no', '--main_process_port', free_port()]
    return [sys.executable, '-m', 'accelerate.commands.launch', *options, job, folder, 2, 'launch']

def notebook_launch(folder):
    return [sys.executable, '-c', notebook.format(here=str(here), out=str(folder), port=free_port())]

@pytest.mark.parametrize('start', [accelerate_launch, notebook_launch])
def test_other_ways_to_start(out, start, tmp_path):
    code,txt = launch([*map(str, start(tmp_path))], 90)
    assert code==0, txt[-3000:]
    one, = results(out, 1, 'equality')
    for r in range(2):
        o = json.loads((tmp_path/f'launch-2-{r}.json').read_text())
        assert far(o['plain']['weights'], one['plain']['weights'])<1e-5

# The command line

cli = ['--no-python', sys.executable, '-c', 'import sys; from fastai_tricks.cli import main; sys.exit(main())']

@pytest.fixture(scope='module')
def images(tmp_path_factory): return image_folder(tmp_path_factory.mktemp('data')/'images', 90)

def train(images, out):
    return torchrun(2, *cli, 'train', '--data', images, '--size', 16, '--bs', 8, '--epochs', 5, '--out', out)

weights_code = '''
import json
from fastai.learner import load_learner
from fastai_tricks.all import *
print(json.dumps([float(p.double().sum()) for p in load_learner({path!r}).model.parameters()]))
'''

def weights(path):
    "The sums of the weights in the export `path`"
    cmd = [sys.executable, '-W', 'ignore', '-c', weights_code.format(path=str(path))]
    return json.loads(subprocess.run(cmd, capture_output=True, text=True, timeout=100).stdout.splitlines()[-1])

@pytest.fixture(scope='module')
def trained(images, tmp_path_factory):
    "Folder, exit code and output of a training"
    out = tmp_path_factory.mktemp('cli')/'whole'
    return out,*launch(train(images, out))

def test_train_under_torchrun(trained):
    out,code,txt = trained
    assert code==0, txt[-3000:]
    assert {o.name for o in out.iterdir()}=={'checkpoints','history.csv','model.pkl','recipe.toml','run.json'}
    assert len((out/'history.csv').read_text().splitlines())==6
    run = json.loads((out/'run.json').read_text())
    assert run['batch']==16 and run['args']['processes']==2

def test_process_0_speaks(trained):
    *_,txt = trained
    assert txt.count('Written:')==1, txt[-2000:]
    assert len(re.findall(r'^[0-4]  \d', txt, re.M))==5, txt[-2000:] # a line for each epoch

def wait_for_checkpoint(folder, p, timeout=100):
    begun = time.time()
    while not list(folder.glob('*.ckpt')):
        assert time.time()-begun<timeout and p.poll() is None, p.communicate()
        time.sleep(.02)

def rank_processes(p):
    "Rank to process, of those that `p` has started"
    res = {}
    for o in psutil.Process(p.pid).children(recursive=True):
        try: res[int(o.environ()['RANK'])] = o
        except (KeyError, psutil.Error): pass
    return res

def killed_training(images, out, killed):
    "Exit code, stderr and seconds until the end, of a training of which process `killed` is killed after a checkpoint"
    p = subprocess.Popen(train(images, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        wait_for_checkpoint(out/'checkpoints', p)
        rank_processes(p)[killed].kill()
        begun = time.time()
        _,err = p.communicate(timeout=60)
        return p.returncode,err,time.time()-begun
    finally: p.kill()

@pytest.mark.parametrize('killed', [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_killed_process_ends_the_job_with_one_line_and_a_checkpoint(trained, images, tmp_path, killed):
    out = tmp_path/'out'
    code,err,seconds = killed_training(images, out, killed)
    assert code!=0 and seconds<30
    ours = [o for o in err.splitlines() if o.startswith('fastai-tricks:')]
    assert len(ours)==1 and 'goes on from' in ours[0] and 'process' in ours[0], err[-3000:]
    code,txt = launch(torchrun(2, *cli, 'resume', out))
    assert code==0 and 'Going on with' in txt, txt[-3000:]
    # as if nothing had happened, to the last bit
    assert weights(out/'model.pkl')==weights(trained[0]/'model.pkl')

def test_another_number_of_processes_is_refused(trained):
    r = subprocess.run([*cli[1:], 'resume', str(trained[0])], capture_output=True, text=True, timeout=100, env=env)
    assert r.returncode==2
    assert 'begun with 2 processes, and here are 1' in r.stderr, r.stderr

@pytest.mark.parametrize('args,message', [
    (['train', '--data', '/nowhere'], 'no folder'),
    (['ablate'], 'without torchrun'),
])
def test_wrong_use_is_reported_once(args, message):
    code,txt = launch(torchrun(2, *cli, *args))
    assert code!=0
    assert txt.count('fastai-tricks: ')==1 and message in txt, txt[-3000:]
