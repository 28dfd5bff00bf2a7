"""Everything public, by name: `from fastai_tricks.all import *` after `from fastai.vision.all import *`.
Of fastai's names it takes `MixUp` and `CutMix` only.
Rooms and tricks are found by themselves: nothing here names them."""
from importlib import import_module
from pathlib import Path

# In the order of reading
chapters = 'base data train model target recipe_file recipe_read recipe_scale recipe training evidence transfer'.split()

def _rooms():
    "Names of all modules, chapter by chapter"
    here = Path(__file__).parent
    for chapter in chapters:
        if (here/f'{chapter}.py').exists(): yield chapter
        for room in sorted((here/chapter).glob('[!_]*.py')): yield f'{chapter}.{room.stem}'

__all__ = []
for _room in _rooms():
    _module = import_module(f'fastai_tricks.{_room}')
    globals().update({o:getattr(_module, o) for o in _module.__all__})
    __all__ += _module.__all__

# `mixup` beside `MixUp`; a name that stands for more, as `nag` does, keeps what it is
for _name,_trick in tricks.items():
    if _name not in globals():
        globals()[_name] = _trick
        __all__.append(_name)
