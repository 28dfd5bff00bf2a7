"Runs in several processes: a worker that dies, a cluster, the same numbers everywhere"
import os, signal, sys
import cloudpickle, pytest
from fastai.vision.all import Callback, DataLoaders, MSELossFlat, TensorMask, accuracy, mae, torch
from fastai_tricks.all import ablate, check_dls, check_spec, in_memory, read_rows, tiny_dls

@pytest.fixture(scope='module')
def toy():
    def dls():
        d = check_dls(n=60, n_valid=40, bs=16)
        res = in_memory(d)
        res.c = d.c
        return res
    return check_spec(dls=dls(), metrics=accuracy, n_epoch=2, lr=2e-2)

def same(a, b):
    cols = 'arm seed status accuracy loss calibration gflops curve hits'.split()
    assert a.runs[cols].equals(b.runs[cols])

def test_processes_give_the_numbers_of_one(toy):
    kw = dict(base=toy, mode='add_one', seeds=3, progress=False)
    one_by_one = ablate(toy.dls, ['label_smoothing'], jobs=1, **kw)
    same(one_by_one, ablate(toy.dls, ['label_smoothing'], jobs=2, **kw))

def test_images_that_are_mapped_are_the_same():
    kw = dict(n_epoch=1, seeds=1, progress=False)
    dls = tiny_dls(bs=32, n_train=200, n_valid=100)
    same(ablate(dls, ['large_batch'], jobs=1, **kw), ablate(dls, ['large_batch'], jobs=2, **kw))

class Killed(Callback):
    "Kill this process in a run of seed 2, as the system does when memory runs out; end it by itself in one of seed 3"
    def before_batch(self):
        if torch.initial_seed()==2: os.kill(os.getpid(), signal.SIGKILL)
        if torch.initial_seed()==3: os._exit(3)

def test_a_killed_process_is_a_row_and_the_others_go_on(toy, tmp_path):
    kw = dict(base=toy, mode='add_one', seeds=3, jobs=2, progress=False, out=tmp_path)
    a = ablate(toy.dls, [Killed, 'label_smoothing'], **kw)
    t = a.table().set_index('trick')
    assert t.failed.to_dict()=={'baseline':0, '+ Killed':2, '+ label_smoothing':0}
    assert a.missing==0
    bad = a.runs[a.runs.status=='failed'].set_index('seed').reason
    assert 'was killed, twice' in bad[2] and 'ended itself with exit code 3, twice' in bad[3]
    assert len(read_rows(tmp_path/'runs.csv'))==9
    anew = ablate(toy.dls, ['label_smoothing'], **{**kw, 'out':None, 'jobs':1})
    same(anew, ablate(toy.dls, ['label_smoothing'], **kw)) # found in the file, and right

def with_numbers(dls, c):
    "The images of `dls`, each with `c` numbers to predict"
    y = lambda o: float(o[1]) if c==1 else torch.tensor([int(o[1])/4, int(o[1])%2])
    items = [[(o[0], y(o)) for o in ds] for ds in (dls.train_ds, dls.valid_ds)]
    res = DataLoaders.from_dsets(*items, bs=16, num_workers=0, shuffle=True)
    res.c = c
    return res

@pytest.mark.parametrize('c', (1,2))
def test_numbers_are_judged_by_their_error(c, tmp_path):
    dls = with_numbers(check_dls(n=60, n_valid=40), c)
    base = check_spec(dls=dls, metrics=(), loss_func=MSELossFlat(), n_epoch=2)
    a = ablate(dls, ['nag(lr=0.1)'], base=base, mode='bag', seeds=2, jobs=1, progress=False)
    assert a.runs.status.eq('ok').all(), a.runs.reason.tolist()
    learn = a.specs[0][1].copy(seed=1).train()
    assert abs(float(mae(*learn.get_preds())) - a.rows[0,1]['outcome'])<1e-4
    page = a.report(tmp_path/'report.html').read_text()
    for text in (repr(a), a.headline(), *a.answers(), page): assert 'accuracy' not in text, text

def test_masks_are_refused_before_anything_is_trained():
    masks = [(torch.zeros(3,8,8), TensorMask(torch.zeros(8,8).long()))]*4
    dls = DataLoaders.from_dsets(masks, masks, bs=2)
    with pytest.raises(ValueError, match='these data ask for masks'): ablate(dls, ['nag'], base=check_spec(dls=dls))

@pytest.mark.slow # a cluster of three nodes
def test_a_ray_cluster_gives_the_same_numbers(toy):
    ray = pytest.importorskip('ray', reason='an optional extra, without a wheel for every Python')
    from ray.cluster_utils import Cluster
    cloudpickle.register_pickle_by_value(sys.modules[__name__]) # this file is not installed on the cluster
    os.environ['RAY_USAGE_STATS_ENABLED'] = '0'
    head = dict(num_cpus=0, include_dashboard=False) # it only keeps books
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2): cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        kw = dict(base=toy, mode='add_one', seeds=3, progress=False)
        here = ablate(toy.dls, ['label_smoothing'], jobs=1, **kw)
        same(here, ablate(toy.dls, ['label_smoothing'], engine='ray', **kw))
        a = ablate(toy.dls, [Killed], engine='ray', **{**kw, 'seeds':2})
        assert a.table().failed.tolist()==[0,1]
        assert len([o for o in ray.nodes() if o['Alive']])==3
    finally:
        ray.shutdown()
        cluster.shutdown()
