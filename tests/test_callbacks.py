"What holds for every callback of the package"
import inspect, pkgutil
from importlib import import_module
from fastai.callback.core import Callback
import fastai_tricks
from fastai_tricks.base.order import Order

def callbacks():
    "Every callback class that a room of the package defines"
    for room in pkgutil.walk_packages(fastai_tricks.__path__, 'fastai_tricks.'):
        for o in vars(import_module(room.name)).values():
            if inspect.isclass(o) and issubclass(o, Callback) and o.__module__==room.name: yield o

def test_every_callback_says_whether_an_export_keeps_it():
    assert [o for o in callbacks() if not isinstance(getattr(o, 'in_export', None), bool)]==[]

def test_every_order_has_a_name():
    named = {v for k,v in vars(Order).items() if k.isupper()}
    ours = [o for o in callbacks() if 'order' in vars(o)]
    assert len(ours)>5 and [(o.__name__, o.order) for o in ours if o.order not in named]==[]
