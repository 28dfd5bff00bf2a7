"Identity: two records that differ in one place have two keys, one record has the same key in every process"
import inspect, os, random, subprocess, sys, types
from collections import OrderedDict
from functools import partial
from pathlib import Path
import cloudpickle, numpy as np, pandas as pd, pytest, torch
from fastai.callback.tracker import EarlyStoppingCallback
from fastai.callback.training import GradientClip
from fastai.vision.all import (Adam, Callback, CrossEntropyLossFlat, FocalLossFlat, Image, L, Resize, Recorder, nn,
                               tensor)
from fastai_tricks.all import MixUp, tricks
from fastai_tricks.base.content import content_hash
from fastai_tricks.base.identity import identity
from fastai_tricks.base.trial import check_spec, silent_learner

# ---- records that are drawn: a tree of values, and one place in it that is changed

def typed(text, **names):
    "The function `f` after `text` was run"
    exec(text, names)
    return names['f']

def image(v): return Image.fromarray(np.full((3,3,3), v % 250, np.uint8))
def module(v): return nn.Sequential(nn.Linear(2, 2), nn.Dropout(v/1000)).requires_grad_(False).apply(zeroed)
def zeroed(m):
    for p in m.parameters(recurse=False): nn.init.constant_(p, .5)
def closed(v): return lambda x: x+v
class Own:
    "An object of the user's"
    def __init__(self, v): self.v,self.fixed = v,[1,2]
class Slotted:
    "One with slots"
    __slots__ = ('v',)
    def __init__(self, v): self.v = v
class OwnCallback(Callback):
    "A callback of the user's"
    def __init__(self, v): self.twice = 2*v
class OwnNet(nn.Module):
    "A network with a setting"
    def __init__(self, v):
        super().__init__()
        self.v = v

leaves = [ # Functions of a number: other numbers give other things
    int, float, str, lambda v: str(v).encode(), lambda v: complex(1, v), lambda v: Path(f'nowhere/{v}'), slice,
    lambda v: np.arange(5)+v,
    np.float32,
    lambda v: torch.arange(4)*v,
    lambda v: tensor(float(v)).half(),
    lambda v: pd.DataFrame(dict(a=[1,v], b=[[v],'x'])),
    lambda v: pd.Series([v,2], name='s'),
    image, module, OwnNet, closed, Own, Slotted, OwnCallback,
    lambda v: typed(f'def f(x): return x*{v}'),
    lambda v: typed(f'def f(x, k={v}): return x*k'),
    lambda v: typed(f'class f:\n    k = {v}\n    def m(self): return f'),
    lambda v: typed('def f(x): return g(x)', g=closed(v)),
    lambda v: dict(a=v).get,
    lambda v: partial(max, v),
    lambda v: partial(Adam, wd=v),
    GradientClip,
    lambda v: EarlyStoppingCallback(patience=v),
    lambda v: MixUp(1/(1+v)),
    lambda v: CrossEntropyLossFlat(weight=tensor([1.,v])),
    lambda v: FocalLossFlat(gamma=float(v)),
    np.random.default_rng, random.Random,
    lambda v: torch.Generator().manual_seed(v),
    Resize,
    lambda v: L(v, 'a'),
]

inner = [ # Functions of several values: containers, and what holds others
    list, tuple, L, Own,
    lambda o: dict(enumerate(o)),
    lambda o: {f'k{i}':v for i,v in enumerate(o)},
    lambda o: OrderedDict(enumerate(o)),
    lambda o: np.array([*o, None], dtype=object),
    lambda o: types.SimpleNamespace(a=o),
    lambda o: partial(print, *o),
    lambda o: typed('def f(x): return k', k=o),
    lambda o: lambda: o,
]

def drawn(rng, depth):
    "A recipe of a random value: nested pairs of a function and its arguments"
    if depth==0 or rng.random()<.25: return rng.randrange(len(leaves)),rng.randrange(1, 200)
    return inner[rng.randrange(len(inner))],[drawn(rng, depth-1) for _ in range(rng.randint(1, 3))]

def built(recipe):
    "The value by `recipe`"
    how,of = recipe
    return leaves[how](of) if isinstance(how, int) else how([built(o) for o in of])

def places(recipe):
    "The ways to all leaves of `recipe`"
    how,of = recipe
    if isinstance(how, int): return [()]
    return [(i,*p) for i,o in enumerate(of) for p in places(o)]

def changed(recipe, place, rng):
    "`recipe` with another leaf at `place`: another number, or another kind of leaf"
    how,of = recipe
    if place: return how,[changed(o, place[1:], rng) if i==place[0] else o for i,o in enumerate(of)]
    if rng.random()<.5: return how,of+rng.randrange(1, 50)
    return (how+rng.randrange(1, len(leaves))) % len(leaves),of

def check(n, seed):
    "Keys of `n` random records; each differs from its copy that is changed in one place, and equals one built anew"
    rng,keys = random.Random(seed),[]
    for i in range(n):
        recipe = drawn(rng, rng.randint(0, 4))
        other = changed(recipe, rng.choice(places(recipe)), rng)
        key = content_hash(built(recipe))
        assert content_hash(built(recipe))==key, f'record {i} of seed {seed} has two keys'
        assert content_hash(built(other))!=key, f'record {i} of seed {seed}: one key for both'
        keys.append(key)
    return keys

@pytest.mark.parametrize('n', [120, pytest.param(3000, marks=pytest.mark.slow)])
def test_one_place_is_another_key_and_another_process_is_none(n):
    code = f"import test_identity as t; print(*t.check({n}, 5))"
    env = {**os.environ, 'PYTHONHASHSEED':'7', 'PYTHONPATH':os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, '-W', 'ignore', '-c', code]
    there = subprocess.run(command, capture_output=True, text=True, env=env, timeout=600)
    assert there.stdout.split()==check(n, 5), there.stderr

def test_a_pickle_is_what_it_was_made_of():
    "Records go to worker processes: functions of the user's by value, without their source"
    for how in range(len(leaves)):
        o = built((how,7))
        assert content_hash(cloudpickle.loads(cloudpickle.dumps(o)))==content_hash(o), f'kind {how}'

# ---- tricks

def identities(learn): return {type(o).__name__:identity(o) for o in learn.cbs if not isinstance(o, Recorder)}

def test_no_training_changes_what_a_callback_is():
    "A callback is the same before and after a fit, and its record has the same key"
    for name,trick in tricks.items():
        needs = any(v is inspect.Parameter.empty for v in trick.params.values())
        if needs or not isinstance(trick.source, type): continue
        spec = trick.apply(check_spec())
        learn,key = silent_learner(spec),spec.key()
        before = identities(learn)
        getattr(learn, spec.fit)(1, 1e-3)
        assert identities(learn)==before and spec.key()==key, name
