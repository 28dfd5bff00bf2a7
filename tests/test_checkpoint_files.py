"Checkpoints while a disk is full, somebody presses Ctrl-C, or a bit flips"
import os, resource, signal
from unittest.mock import patch
import numpy as np, pytest, torch
from fastai.vision.all import Callback
from fastai_tricks.all import Checkpoint, read_checkpoint
from fastai_tricks.base.trial import check_spec, silent_learner
from fastai_tricks.base.warn import warned
from fastai_tricks.train.file import Damaged, read_whole, write_whole

save = torch.save

def trained(folder, n=2, **kw):
    learn = silent_learner(check_spec())
    learn.fit(n, cbs=Checkpoint(folder, **kw))
    return learn

class FileLimit(Callback):
    "No file may be larger than `size` bytes after the first epoch: what a full disk does to a writer"
    in_identity = False
    order = 10**8
    def __init__(self, size): self.size = size
    def after_epoch(self): resource.setrlimit(resource.RLIMIT_FSIZE, (self.size,resource.RLIM_INFINITY))

def test_a_disk_that_is_full_ends_no_training(tmp_path):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    learn = silent_learner(check_spec())
    try: messages = warned(lambda: learn.fit(3, cbs=[Checkpoint(tmp_path), FileLimit(9000)]))
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(learn.recorder.values)==3
    assert any('The training goes on; the last good one is 00-00001.ckpt' in o for o in messages), messages
    assert [o.name for o in tmp_path.iterdir()]==['00-00001.ckpt']
    assert read_checkpoint(tmp_path)['state']['epoch']==0

@pytest.mark.parametrize('number', [signal.SIGINT,signal.SIGTERM])
def test_a_signal_waits_until_the_file_is_whole(number, tmp_path):
    def interrupted(content, f):
        signal.raise_signal(number)
        save(content, f)
    def stop(*args): raise KeyboardInterrupt
    before = signal.signal(number, stop)
    try:
        with patch('torch.save', interrupted), pytest.raises(KeyboardInterrupt): trained(tmp_path)
        assert signal.getsignal(number) is stop
    finally: signal.signal(number, before)
    assert [o.name for o in tmp_path.iterdir()]==['00-00001.ckpt']
    assert read_checkpoint(tmp_path)['state']['epoch']==0

def test_links_that_somebody_has_put_there_are_not_followed(tmp_path):
    victim,folder = tmp_path/'victim',tmp_path/'run'
    victim.write_text('mine')
    folder.mkdir()
    for o in ('00-00001.ckpt','00-00001.tmp','00-00001.ckpt.tmp'): (folder/o).symlink_to(victim)
    with patch('secrets.token_hex', lambda n: 'known'):
        (folder/'.r-known.tmp').symlink_to(victim)
        with pytest.raises(FileExistsError): write_whole(folder/'00-00002.ckpt', {}, dict(run='r'))
    write_whole(folder/'00-00001.ckpt', dict(format=3), dict(run='r'))
    assert victim.read_text()=='mine'
    assert not (folder/'00-00001.ckpt').is_symlink()

def test_a_folder_that_is_deleted_is_made_again(tmp_path):
    class Delete(Callback):
        in_identity = False
        order = 10**8
        def after_epoch(self): [o.unlink() for o in (tmp_path/'a').iterdir()] and (tmp_path/'a').rmdir()
    silent_learner(check_spec()).fit(2, cbs=[Checkpoint(tmp_path/'a'), Delete()])
    assert read_checkpoint(tmp_path/'a')['done']

def test_two_trainings_at_once_are_kept_apart(tmp_path):
    class Other(Callback):
        "Another training in the folder, that begins and ends within this one"
        in_identity,order = False,-99
        def before_batch(self):
            if self.training and self.train_iter==0 and self.epoch==0: trained(tmp_path, 1)
    learn = silent_learner(check_spec())
    messages = warned(lambda: learn.fit(2, cbs=[Checkpoint(tmp_path), Other()]))
    assert any('Another training writes to' in o for o in messages), messages
    assert sorted(o.name for o in tmp_path.rglob('*.ckpt'))==['00-00001.ckpt','00-00001.ckpt','00-00002.ckpt']
    assert read_checkpoint(tmp_path)['n_epoch']==1 and read_checkpoint(tmp_path/'2')['n_epoch']==2

def flips_told(folder, n, rng):
    "How many of `n` flipped bits are told"
    trained(folder/'run')
    raw,file,told = next((folder/'run').glob('*2.ckpt')).read_bytes(),folder/'x.ckpt',0
    for _ in range(n):
        b = bytearray(raw)
        i = int(rng.integers(len(b)))
        b[i] ^= 1 << int(rng.integers(8))
        file.write_bytes(b)
        try: read_whole(file)
        except Damaged: told += 1
    return told

def test_flipped_bits_are_told(tmp_path): assert flips_told(tmp_path, 40, np.random.default_rng(1))==40

@pytest.mark.slow
def test_many_flipped_bits_are_told(tmp_path): assert flips_told(tmp_path, 2000, np.random.default_rng())==2000
