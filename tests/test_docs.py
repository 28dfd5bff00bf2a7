"Every public name has a docstring, a page, and comments on its parameters that say unit or range"
import inspect, re
from pathlib import Path
import pytest
from fastcore.docments import docments
import fastai_tricks.all as ours
from fastai_tricks._modidx import d as index

root = Path(__file__).resolve().parent.parent

def is_own(o): return getattr(o, '__module__', '').startswith('fastai_tricks')

public = {name:getattr(ours, name) for name in ours.__all__}
named = {name:o for name,o in public.items() if (inspect.isclass(o) or inspect.isfunction(o)) and is_own(o)}
called = {name:o for name,o in named.items() if not inspect.isclass(o) or '__init__' in vars(o)}

def parameters(o)->dict:
    "Name to parameter of what a caller passes"
    try: sig = inspect.signature(o.__init__ if inspect.isclass(o) else o)
    except (TypeError, ValueError): return {}
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {k:p for k,p in sig.parameters.items() if k not in ('self', 'spec') and p.kind not in several}

def comments(o)->dict:
    "Name of each parameter to its comment; those of a function that passes its arguments on are where they arrive"
    try: own = docments(o)
    except (OSError, TypeError): return {}
    passed_on = getattr(o, '__delwrap__', None)
    there = comments(passed_on) if passed_on else {}
    return {**there, **{k:v for k,v in own.items() if v}}

def commented(o)->list:
    "Triples of name, parameter and comment"
    found = comments(o)
    return [(k, p, (found.get(k) or '').strip()) for k,p in parameters(o).items()]

def test_everything_public_says_what_it_is():
    assert [name for name,o in named.items() if not (inspect.getdoc(o) or '').strip()]==[]

def test_every_parameter_has_a_comment():
    assert [f'{name}({k})' for name,o in called.items() for k,_,comment in commented(o) if not comment]==[]

units = '''batch bytes channel core count epoch factor GB height inch index momentum multiplier number of
    MB per cent pixel points process rate second seed share side step temperature unit weight width λ'''
unit = re.compile(r'\d|number of|per cent|' + '|'.join(re.escape(o) for o in units.split()), re.I)

def is_number(p):
    "Is a parameter a number, by its annotation or its default?"
    by_default = isinstance(p.default, (int, float)) and not isinstance(p.default, bool)
    return by_default or p.annotation in (int, float, 'int', 'float')

def test_a_number_has_a_unit_or_a_range():
    numbers = [(f'{name}({k})', comment) for name,o in called.items() for k,p,comment in commented(o) if is_number(p)]
    assert len(numbers)>=50
    assert [o for o in numbers if not unit.search(o[1])]==[]

def test_everything_public_has_a_page():
    place = {k.split('.')[-1]:v[0] for room in index['syms'].values() for k,v in room.items()}
    assert [name for name in named if name not in place]==[]
    pages = {re.sub(r'^\d+[a-z]*_', '', p.stem) for p in (root/'nbs').glob('*.ipynb')}
    assert {o.partition('.html')[0] for o in place.values()} <= pages

def test_tricks_explain_themselves():
    for t in ours.tricks.values():
        assert {'touches', 'costs', 'hurts'} <= set(dict(t.card())), t.name
        assert t.doc, t.name

if __name__=='__main__': pytest.main([__file__])
