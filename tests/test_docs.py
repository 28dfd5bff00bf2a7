"Every public name has a docstring, comments on its parameters with unit or range, a page, and an example that runs"
import ast, inspect, json, re
from pathlib import Path
import pytest
from fastcore.docments import docments
import fastai_tricks.all as ours
from fastai_tricks._modidx import d as index

root = Path(__file__).resolve().parent.parent
public = {nm: getattr(ours, nm) for nm in ours.__all__}
named = {nm: o for nm,o in public.items() if inspect.isclass(o) or inspect.isfunction(o)}
units = r'\d|GB|share|factor|rate|pixel|epoch|second|step|batch|seed|number of|index|per cent|points|inch|width|height|side|count|core|temperature|weight|bytes|MB|λ|momentum|process|channel'

builder = re.compile(r'resnet(18|34|50|101|152)[abcd]$') # one line each, made by `build_resnet`, which has their comments
made_by = dict(Trick='trick', MemoryDL='in_memory', WarmupSched='fit_warmup_cos', Compiled='compiled', Surgery='to_resnet_d', LostProcess='processes', Ranks='processes', TimmStages='fcn_learner', DetectionLoss='detection_learner') # what people meet through the function that makes it

def comments(nm, o):
    try: return docments(ours.build_resnet if builder.match(nm) else o)
    except (OSError, TypeError): return {}

def parameters(o):
    "Pairs of name and default of what a caller passes"
    f = o.__init__ if inspect.isclass(o) else o
    try: sig = inspect.signature(f)
    except (TypeError, ValueError): return []
    return [(k,p) for k,p in sig.parameters.items() if k not in ('self','spec') and p.kind not in (p.VAR_KEYWORD,p.VAR_POSITIONAL)]

def cells():
    "(notebook, source) of every code cell that is not exported"
    for p in sorted((root/'nbs').rglob('*.ipynb')):
        if p.name.startswith('_') or '.ipynb_checkpoints' in p.parts: continue
        for c in json.loads(p.read_text(encoding='utf-8'))['cells']:
            if c['cell_type']=='code' and not re.search(r'^#\|\s*export', ''.join(c['source']), re.M): yield p.name,''.join(c['source'])

def own(o): return getattr(o, '__module__', '').startswith('fastai_tricks')

def test_everything_public_says_what_it_is():
    bad = [nm for nm,o in named.items() if own(o) and not (inspect.getdoc(o) or '').strip()]
    assert bad==[]

def test_every_parameter_has_a_comment():
    bad = []
    for nm,o in named.items():
        if not own(o) or inspect.isclass(o) and '__init__' not in vars(o): continue
        docs = comments(nm, o)
        bad += [f'{nm}({k})' for k,p in parameters(o) if not (docs.get(k) or '').strip()]
    assert bad==[], bad

def test_numbers_have_a_unit_or_a_range():
    bad = []
    for nm,o in named.items():
        if not own(o) or inspect.isclass(o) and '__init__' not in vars(o): continue
        docs = comments(nm, o)
        for k,p in parameters(o):
            number = p.annotation in (int,float,'int','float') or isinstance(p.default, (int,float)) and not isinstance(p.default, bool)
            if number and (docs.get(k) or '').strip() and not re.search(units, docs[k], re.I): bad.append(f'{nm}({k}): {docs[k]}')
    assert bad==[], bad

def test_everything_public_has_a_page():
    syms = {k.split('.')[-1]:v[0] for mod in index['syms'].values() for k,v in mod.items()}
    bad = [nm for nm,o in named.items() if own(o) and nm not in syms and not o.__module__.endswith('.resnet')] # the builders share one table
    assert bad==[]
    pages = {re.sub(r'^\d+[a-zA-Z0-9]*_', '', p.stem) for p in (root/'nbs').glob('*.ipynb')}
    assert {v.split('.html')[0] for v in syms.values()} <= pages

def test_everything_public_has_an_example():
    seen = set()
    for _,src in cells():
        try: tree = ast.parse('\n'.join(l for l in src.splitlines() if not re.match(r'\s*[%!]', l)))
        except SyntaxError: continue
        seen |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)} | {n.value.split('(')[0] for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    assert [nm for nm,o in public.items() if made_by.get(nm, nm) not in seen and not builder.match(nm)]==[]

def test_tricks_explain_themselves():
    for t in ours.tricks.values():
        card = dict(t.card())
        assert {'touches','costs','hurts'} <= set(card), (t.name, card)
        assert t.doc and (t.where or t.name in ('channels_last','compiled')), t.name # these two are torch's and have no paper
        docs = docments(t.func)
        for k in t.params: assert (docs.get(k) or '').strip(), f'{t.name}({k})'

if __name__=='__main__': pytest.main([__file__])
