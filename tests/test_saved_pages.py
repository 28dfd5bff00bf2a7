"The saved page is what readers see: no debris among its outputs, and cards that equal the rows"
import csv, json, re, sys
from pathlib import Path
import pytest

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root/'tools'))
import form
from clean import is_warning, without_warnings
from pages.chapters import pages_of
from pages.project import directives, nbs, read, text_of

def texts(output)->list:
    "What an output shows as text: Markdown or HTML in the place of plain text, a stream, an error"
    if output['output_type']=='stream': return [text_of(output['text'])]
    if output['output_type']=='error': return ['\n'.join(output['traceback'])]
    data = {k:text_of(v) for k,v in output.get('data', {}).items() if k.startswith('text/')}
    rich = [v for k,v in data.items() if k!='text/plain']
    return rich or list(data.values())

def outputs(page)->list:
    "Pairs of a cell's number and an output that the page shows"
    cells = json.loads(read(nbs/f'{page}.ipynb'))['cells']
    seen = [(i,c) for i,c in enumerate(cells) if 'hide' not in directives(text_of(c['source']))]
    return [(i,o) for i,c in seen for o in c.get('outputs', [])]

def shown(page)->list:
    "Pairs of a cell's number and a text that it shows, warnings left out"
    return [(i,t) for i,o in outputs(page) if not is_warning(o) for t in texts(o)]

def private_names()->set:
    "Private names that the package defines, and nobody else"
    found = {n for o in form.pieces() if o.part=='package' for n in form.names_of(o.tree())}
    return found-form.names_of_others()

debris = {
    'a row of the plain logger': re.compile(r"^\[\d+, (-?\d+\.\d{3}|nan|None, )|^\[?'epoch', ", re.M),
    'a progress bar': re.compile(r'\r|█|▏|\d+%\|| \[[\d:]+<[\d:?]+|<progress|Epoch \d+/\d+ :'),
    'a folder of a machine': re.compile(r'(?<![\w.])/(?:tmp|home|root|Users|venv|opt|work)/\S+'),
    'a place in memory': re.compile(r' at 0x[0-9a-f]{6,}'),
}

def found_in(text, ours)->list:
    "What is debris in `text`: pairs of kind and example"
    res = [(kind, m[0][:80]) for kind,pattern in debris.items() if (m := pattern.search(text))]
    return res + [('a private name', o) for o in re.findall(r'(?<![\w.])_\w+|(?<=\.)_\w+', text) if o in ours]

@pytest.fixture(scope='module')
def ours(): return private_names()

@pytest.mark.parametrize('page', pages_of())
def test_a_page_is_clean(page, ours):
    found = [f'cell {i}: {kind}: {example!r}' for i,t in shown(page) for kind,example in found_in(t, ours)]
    assert found==[]

def test_no_page_keeps_warnings():
    found = [f'{page}, cell {i}' for page in pages_of() for i,o in outputs(page) if is_warning(o)]
    assert found==[], 'python tools/clean.py takes them out'

def test_warnings_are_taken_out():
    warning,text = dict(output_type='stream', name='stderr', text='w'),dict(output_type='stream', name='stdout', text='t')
    nb = dict(cells=[dict(outputs=[warning, text]), dict(source='# A')])
    assert without_warnings(nb) and nb['cells'][0]['outputs']==[text]
    assert not without_warnings(nb)

@pytest.mark.parametrize('text,kind', [
    ('[0, 2.3025, 2.2897, 0.25, \'00:01\']', 'a row of the plain logger'),
    ("['epoch', 'train_loss', 'valid_loss', 'time']", 'a row of the plain logger'),
    ('Epoch 1/3 : |█████| 100.00% [4/4 00:00<00:00 2.3]', 'a progress bar'),
    (' 45%|####5     | 9/20 [00:01<00:01]', 'a progress bar'),
    ('written to /tmp/tmpab12/runs.csv', 'a folder of a machine'),
    ('/root/project/nbs/a.py:12: UserWarning', 'a folder of a machine'),
    ('<function accuracy at 0x7fb6607d2d40>', 'a place in memory'),
    ('MixUp has no _lam', 'a private name'),
    ('see Bag._rows', 'a private name'),
])
def test_debris_is_seen(text, kind): assert kind in [o for o,_ in found_in(text, {'_lam', '_rows'})]

@pytest.mark.parametrize('text', [
    '[1, 2, 3]', 'tensor([0, 1, 2])', '[0.1, 0.2]', 'nbs/tmp/a.py', 'https://example.org/home/x', '100 % of 12', '_others',
])
def test_what_is_no_debris(text): assert found_in(text, {'_lam'})==[]

# ---- cards

def measured()->dict:
    "Name of each trick to what its rows say"
    res = {}
    with (root/'fastai_tricks'/'assets'/'effects.csv').open(newline='', encoding='utf-8') as f:
        for o in csv.DictReader(f): res.setdefault(o['trick'], set()).add(o['measured'])
    return res

def test_cards_equal_the_rows():
    rows,cards,wrong = measured(),0,[]
    for page in pages_of():
        for i,t in shown(page):
            m = re.match(r'\*\*`(\w+)[`(].*?^\|measured\|(.*?)\|$', t, re.M|re.S)
            if not m: continue
            cards += 1
            expected = '; '.join(o for o in rows.get(m[1], ()) if o)
            same = sorted(m[2].split('; '))==sorted(expected.split('; ')) or (not expected and m[2]=='not measured yet')
            if not same: wrong.append((page, i, m[1], m[2]))
    assert wrong==[] and cards>=5, (cards, wrong)
