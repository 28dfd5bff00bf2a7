"Links between notebooks, in a folder that is made up"
import json, sys
from pathlib import Path
import pytest

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root/'tools'))
import links

def notebook(file, text):
    "Write a notebook with one cell of Markdown"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(dict(cells=[dict(cell_type='markdown', source=text)])), encoding='utf-8')

@pytest.mark.parametrize('old,new', [
    ('../40_target.mixup.ipynb', '../53a_target.mixup.ipynb'),
    ('../40_target.mixup.ipynb#in-training', '../53a_target.mixup.ipynb#in-training'),
])
def test_a_room_that_was_moved_is_found(tmp_path, old, new):
    notebook(tmp_path/'53a_target.mixup.ipynb', '# Mixup')
    notebook(tmp_path/'howto'/'a.ipynb', f'See [mixup]({old}).')
    assert len(links.lost(tmp_path))==1
    links.mend(tmp_path)
    assert links.lost(tmp_path)==[] and f']({new})' in (tmp_path/'howto'/'a.ipynb').read_text(encoding='utf-8')

@pytest.mark.parametrize('address', ['b.ipynb', '../53_target.mixup.ipynb#in-training', 'https://example.org/no.ipynb'])
def test_what_leads_somewhere_is_left_alone(tmp_path, address):
    notebook(tmp_path/'53_target.mixup.ipynb', '# Mixup')
    for name in ('a', 'b'): notebook(tmp_path/'howto'/f'{name}.ipynb', f'[here]({address})')
    links.mend(tmp_path)
    assert links.lost(tmp_path)==[] and f'[here]({address})' in (tmp_path/'howto'/'a.ipynb').read_text(encoding='utf-8')

def test_a_room_that_is_gone_is_named(tmp_path):
    notebook(tmp_path/'a.ipynb', '[gone](12_data.gone.ipynb)')
    links.mend(tmp_path)
    assert links.lost(tmp_path)==['a.ipynb: 12_data.gone.ipynb']
