"Several processes: what they compute must equal one process, and none may hang. Each launch writes what it saw; the tests read it"
import json, os, re, signal, socket, subprocess, sys, time
from pathlib import Path
import numpy as np, psutil, pytest
from helpers import image_folder

here = Path(__file__).resolve().parent
job = str(here/'distributed_job.py')
env = {**os.environ, 'PYTHONWARNINGS':'ignore', 'OMP_NUM_THREADS':'1'}
pytest.importorskip('accelerate')

def torchrun(n, *args): return [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', str(n), *map(str,args)] if n>1 else [sys.executable, *map(str,args)]

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def launch(cmd, timeout=120):
    "Run `cmd` to its end, at most `timeout` seconds"
    p = subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, cwd=here, start_new_session=True)
    try: txt,_ = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        for o in [*psutil.Process(p.pid).children(recursive=True), psutil.Process(p.pid)]: o.kill()
        raise AssertionError(f'still running after {timeout} s: {p.communicate()[0][-2000:]}')
    return p.returncode,txt

def results(d, world, *what):
    "What each of `world` processes wrote for the first of `what`"
    if not (d/f'{what[0]}-{world}-0.json').exists():
        code,txt = launch(torchrun(world, job, d, world, *what))
        assert code==0, txt[-3000:]
    return [json.loads((d/f'{what[0]}-{world}-{r}.json').read_text()) for r in range(world)]

@pytest.fixture(scope='module')
def out(tmp_path_factory): return tmp_path_factory.mktemp('ranks')

def far(a, b): return np.abs(np.asarray(a, dtype=float)-np.asarray(b, dtype=float)).max()

names = 'plain adam adamw short_tail smoothing warmup_cosine nag accumulation distill weighted summed bag clipping'.split()

@pytest.mark.parametrize('world', [2,pytest.param(4, marks=pytest.mark.slow)])
def test_equals_one_process(out, world):
    one, = results(out, 1, 'equality')
    ranks = results(out, world, 'equality')
    for nm in names:
        for o in ranks:
            assert far(o[nm]['weights'], one[nm]['weights'])<1e-5, nm
            assert o[nm]['seen']==ranks[0][nm]['seen'] and len(set(o[nm]['seen']))==3, nm          # to the last bit alike after every epoch, and they moved
            assert far(o[nm]['losses'], one[nm]['losses'])<1e-5, nm
            for a,b in zip(o[nm]['values'], one[nm]['values']):
                assert far(np.asarray(a)/np.maximum(1, np.abs(b)), np.asarray(b)/np.maximum(1, np.abs(b)))<1e-6, nm   # train_loss, valid_loss, accuracy, F1, 19 pictures
            assert far(o[nm]['hypers'], one[nm]['hypers'])<1e-12, nm

@pytest.mark.parametrize('world', [2,pytest.param(4, marks=pytest.mark.slow)])
def test_predictions_are_all_there_and_in_order(out, world):
    one, = results(out, 1, 'equality')
    for o in results(out, world, 'equality'):
        assert o['preds']['targs']==one['preds']['targs'] and len(o['preds']['targs'])==19
        for k in ('preds','losses','valid','given'): assert far(o['preds'][k], one['preds'][k])<1e-6, k
        assert far(o['single'], one['single'])<1e-6                                                # one item, so most processes have none

@pytest.mark.parametrize('world', [2,pytest.param(4, marks=pytest.mark.slow)])
def test_lr_find_ends_and_changes_nothing(out, world):
    one, = results(out, 1, 'equality')
    for o in results(out, world, 'equality'):
        assert o['find']['same']
        assert abs(o['find']['valley']/one['find']['valley']-1)<1e-5
        for k in ('losses','after'): assert far(o['find'][k], one['find'][k])<1e-5, k

def test_each_process_has_draws_of_its_own(out):
    a,b = results(out, 2, 'several')
    assert len(a['lams'])==6 and not set(a['lams']) & set(b['lams']) and len(set(b['lams']))==6
    assert a['mixed']==b['mixed']

def test_process_0_alone_writes(out):
    a,b = results(out, 2, 'several')
    assert b['files']==[]
    assert set(a['files'])=={'all.pkl','ckpt/00-00001.ckpt','ckpt/00-00002.ckpt','history.csv','models/end.pth','models/model.pth'}
    assert a['export']==[]                                                                         # nothing of ours in it
    assert len((out/'rank0'/'history.csv').read_text().splitlines())==3
    assert a['saved']==b['saved']                                                                  # the best weights, loaded by process 0, reached the other

def test_nothing_is_left_behind(out):
    for o in results(out, 2, 'several'):
        assert o['left']['cbs']==['TrainEvalCallback','Recorder','CastToTensor','SaveModelCallback'] and all(o['left']['run']) and o['left']['loaders']==['TfmdDL']*2
        assert not {'load','_with_events','_do_fit'} & set(o['left']['keys'])
        assert o['struck']==[['after_batch','KeyboardInterrupt',True,True], ['after_pred','ValueError',True,True], ['after_loss','RuntimeError',True,True], ['before_step','KeyboardInterrupt',True,True]]

def test_decisions_are_those_of_process_0(out):
    a,b = results(out, 2, 'several')
    assert a['other']==b['other']==9                     # process 1 wants to stop: it does not count
    assert a['first']==b['first']<4 and a['epoch']==b['epoch']<9
    assert a['early']==b['early']==2

def test_resumed_equals_unbroken_to_the_last_bit(out):
    for o in results(out, 2, 'several'): assert o['resumed']==[[True,True]]*2

def test_workers_batch_norm_and_features(out):
    a,b = results(out, 2, 'several')
    for k in ('workers','bn','drop'): assert a[k]==b[k] and np.isfinite(a[k]).all(), k
    assert 'projectors of its own' in a['features']

def test_every_trick_runs_and_leaves_equal_weights(out):
    a,b = results(out, 2, 'tricks')
    assert len(a)>=19
    for nm in a: assert a[nm][0] and a[nm]==b[nm], nm

def test_a_process_that_hangs_is_given_up(out):
    code,txt = launch(torchrun(2, job, out, 2, 'hang'), 90)
    res = json.loads((out/'hang.json').read_text())
    assert code!=0 and 3<res['waited']<15 and 'does not answer' in res['said'], res

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

@pytest.mark.parametrize('how', ['accelerate','notebook'])
def test_other_ways_to_start(out, how, tmp_path):
    # `--multi_gpu` means several processes, here on the CPU, as there is no GPU; with `--cpu` accelerate starts one
    if how=='accelerate': cmd = [sys.executable, '-m', 'accelerate.commands.launch', '--multi_gpu', '--num_processes', '2', '--num_machines', '1', '--mixed_precision', 'no', '--dynamo_backend', 'no', '--main_process_port', free_port(), job, tmp_path, '2', 'launch']
    else: cmd = [sys.executable, '-c', notebook.format(here=str(here), out=str(tmp_path), port=free_port())]
    code,txt = launch([*map(str,cmd)], 90)
    assert code==0, txt[-3000:]
    one, = results(out, 1, 'equality')
    for r in range(2):
        o = json.loads((tmp_path/f'launch-2-{r}.json').read_text())
        assert far(o['plain']['weights'], one['plain']['weights'])<1e-5

# The command line

cli = ['--no-python', sys.executable, '-c', 'import sys; from fastai_tricks.cli import main; sys.exit(main())']

@pytest.fixture(scope='module')
def images(tmp_path_factory): return image_folder(tmp_path_factory.mktemp('data')/'images', 90)

def train(images, out, *more): return torchrun(2, *cli, 'train', '--data', images, '--size', '16', '--bs', '8', '--epochs', '5', '--out', out, *more)

def weights(path):
    code = f'''
import json
from fastai.learner import load_learner
from fastai_tricks.all import *
print(json.dumps([float(p.double().sum()) for p in load_learner({str(path)!r}).model.parameters()]))'''
    return json.loads(subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, timeout=100).stdout.splitlines()[-1])

@pytest.fixture(scope='module')
def trained(images, tmp_path_factory):
    out = tmp_path_factory.mktemp('cli')/'whole'
    return out,*launch(train(images, out))

def test_train_under_torchrun(trained):
    out,code,txt = trained
    assert code==0, txt[-3000:]
    assert {o.name for o in out.iterdir()}=={'checkpoints','history.csv','model.pkl','recipe.toml','run.json'}
    assert txt.count('Written:')==1 and len(re.findall(r'^[0-4]  \d', txt, re.M))==5, txt[-2000:]      # one process speaks: a line for each epoch
    run = json.loads((out/'run.json').read_text())
    assert run['batch']==16 and run['args']['processes']==2
    assert len((out/'history.csv').read_text().splitlines())==6

@pytest.mark.parametrize('killed', [0,pytest.param(1, marks=pytest.mark.slow)])
def test_a_killed_process_ends_the_job_with_one_line_and_a_checkpoint(trained, images, tmp_path, killed):
    out = tmp_path/'out'
    p = subprocess.Popen(train(images, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    t = time.time()
    while not list((out/'checkpoints').glob('*.ckpt')):
        assert time.time()-t<100 and p.poll() is None, p.communicate()
        time.sleep(.02)
    ranks = {}
    for o in psutil.Process(p.pid).children(recursive=True):
        try: ranks[int(o.environ()['RANK'])] = o
        except (KeyError, psutil.Error): pass
    ranks[killed].kill()
    t = time.time()
    try: _,err = p.communicate(timeout=60)
    finally: p.kill()
    assert p.returncode!=0 and time.time()-t<30
    ours = [o for o in err.splitlines() if o.startswith('fastai-tricks:')]
    assert len(ours)==1 and 'goes on from' in ours[0] and 'process' in ours[0], err[-3000:]
    code,txt = launch(torchrun(2, *cli, 'resume', out))
    assert code==0 and 'Going on with' in txt, txt[-3000:]
    assert weights(out/'model.pkl')==weights(trained[0]/'model.pkl')                                                # as if nothing had happened, to the last bit

def test_another_number_of_processes_and_wrong_use_are_told_once(trained, images):
    r = subprocess.run([*cli[1:], 'resume', str(trained[0])], capture_output=True, text=True, timeout=100, env=env)
    assert r.returncode==2 and 'begun with 2 processes, and here are 1' in r.stderr, r.stderr
    code,txt = launch(torchrun(2, *cli, 'train', '--data', '/nowhere'))
    assert code!=0 and txt.count('fastai-tricks: ')==1 and 'no folder' in txt, txt[-3000:]
    code,txt = launch(torchrun(2, *cli, 'ablate'))
    assert code!=0 and txt.count('fastai-tricks: ')==1 and 'without torchrun' in txt, txt[-3000:]
